package price

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// conversions are where a factor is no price: measurements print MiB and seconds. It has files, and how often.
var conversions = map[string]int{
	"bench/inventory/reader.go": 1, "bench/mirror/pass.go": 1, "bench/process/process.go": 1,
}

// factors are the numbers that turn bytes into the units of price lists.
var factors = []int64{1e9, 1 << 30, 1e12, 1 << 40, 1024}

// TestConversions guards that one program took 10⁹ bytes for a GB at one place and 2³⁰ at another. Nothing but this
// package multiplies or divides by the size of a unit.
func TestConversions(t *testing.T) {
	found := map[string]int{}
	for _, dir := range []string{"cmd", "internal", "bench"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "internal/price/") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, at := range converts(t, path, text) {
				file := strings.TrimPrefix(filepath.ToSlash(path), "../../")
				if found[file]++; found[file] > conversions[file] {
					t.Errorf("%s converts bytes by itself: use price.USD, price.Cents, Unit.Of or Unit.Times", strings.TrimPrefix(at, "../../"))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for file, n := range conversions {
		if found[file] < n {
			t.Errorf("%s has %d conversions, the list says %d: correct the list", file, found[file], n)
		}
	}
}

// TestConvertsFinds proves that the search above finds what it looks for.
func TestConvertsFinds(t *testing.T) {
	const body = `package p
func f(n float64, i int64, gb float64) {
	_ = n / 1e9
	_ = float64(i) / (1 << 30)
	_ = gb * 1024
	_ = gb * 1024 * 1024 * 1024
	_ = n / 1_000_000_000
	n /= 1 << 40
	const gib = 1 << 30
	_ = n / gib
	_ = 1e12 * n
	_ = [1024]byte{}      // not these
	_ = make([]byte, 1024)
	_ = i << 30
	_ = 64 * 1024
	_ = n / 1e6
}`
	var lines []string
	for _, at := range converts(t, "p.go", []byte(body)) {
		lines = append(lines, strings.Split(at, ":")[1])
	}
	if want := []string{"3", "4", "5", "6", "7", "8", "10", "11"}; !slices.Equal(slices.Compact(lines), want) {
		t.Errorf("lines %v, want %v", lines, want)
	}
}

// converts lists where a file multiplies or divides something that is no constant by a factor.
func converts(t *testing.T, name string, text []byte) (out []string) {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, name, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]constant.Value{}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Names) == len(v.Values) {
			for i := range v.Names {
				if c := value(v.Values[i], named); c != nil {
					named[v.Names[i].Name] = c
				}
			}
		}
		return true
	})
	check := func(op token.Token, x, y ast.Expr, at token.Pos) {
		a, b := value(x, named), value(y, named)
		by := b
		if a != nil {
			by = a
		}
		if (a == nil) != (b == nil) && (op == token.MUL || op == token.QUO) && slices.ContainsFunc(factors, func(f int64) bool {
			return constant.Compare(constant.ToFloat(by), token.EQL, constant.ToFloat(constant.MakeInt64(f)))
		}) {
			p := files.Position(at)
			out = append(out, fmt.Sprintf("%s:%d", p.Filename, p.Line))
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			check(n.Op, n.X, n.Y, n.OpPos)
		case *ast.AssignStmt:
			if op := map[token.Token]token.Token{token.MUL_ASSIGN: token.MUL, token.QUO_ASSIGN: token.QUO}[n.Tok]; op != 0 {
				check(op, n.Lhs[0], n.Rhs[0], n.TokPos)
			}
		}
		return true
	})
	return out
}

// value returns the number of an expression of constants, nil for anything else.
func value(e ast.Expr, named map[string]constant.Value) constant.Value {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return value(e.X, named)
	case *ast.Ident:
		return named[e.Name]
	case *ast.BasicLit:
		if e.Kind == token.INT || e.Kind == token.FLOAT {
			return constant.MakeFromLiteral(e.Value, e.Kind, 0)
		}
	case *ast.BinaryExpr:
		x, y := value(e.X, named), value(e.Y, named)
		switch {
		case x == nil || y == nil:
		case e.Op == token.SHL:
			if n, ok := constant.Uint64Val(constant.ToInt(y)); ok && n < 64 {
				return constant.Shift(constant.ToInt(x), token.SHL, uint(n))
			}
		case e.Op == token.MUL || e.Op == token.ADD || e.Op == token.SUB:
			return constant.BinaryOp(x, e.Op, y)
		}
	}
	return nil
}
