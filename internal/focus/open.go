package focus

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
)

// opened is a file of cost data.
type opened struct {
	table
	format string
	close  func() error
}

// open opens a file by its content, not by its name. Standard input is a file without a name.
func open(name string, stdin io.Reader) (*opened, error) {
	if name == "-" {
		if stdin == nil {
			stdin = os.Stdin
		}
		return openStream(stdin, func() error { return nil })
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	var magic [4]byte
	if _, err := f.ReadAt(magic[:], 0); err == nil && string(magic[:]) == "PAR1" {
		info, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		t, err := newParquet(f, info.Size())
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return &opened{t, "parquet", f.Close}, nil
	}
	o, err := openStream(f, f.Close)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return o, nil
}

func openStream(r io.Reader, closeIt func() error) (*opened, error) {
	b := bufio.NewReaderSize(r, 256<<10)
	format := "csv"
	mark, _ := b.Peek(4)
	switch {
	case bytes.HasPrefix(mark, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		b, format = bufio.NewReaderSize(z, 256<<10), "csv.gz"
	case bytes.HasPrefix(mark, []byte("PAR1")):
		return nil, errors.New("parquet cannot be read from a stream: name a file")
	case bytes.HasPrefix(mark, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return nil, errors.New("the file is compressed with zstd: unpack it with zstd -d")
	case bytes.HasPrefix(mark, []byte("PK")):
		return nil, errors.New("the file is a zip archive: unpack it with unzip")
	}
	t, err := newCSV(b)
	if err != nil {
		return nil, err
	}
	return &opened{t, format, closeIt}, nil
}

// leaveOutCopies leaves out files whose content is that of an earlier one: the same export, given twice. Only files of
// the same size are read for that.
func leaveOutCopies(files []source) error {
	bySize := map[int64][]int{}
	for i, f := range files {
		if f.skipped != "" || f.name == "-" {
			continue
		}
		info, err := os.Stat(f.name)
		if err != nil {
			return err
		}
		bySize[info.Size()] = append(bySize[info.Size()], i)
	}
	for _, same := range bySize {
		if len(same) == 1 {
			continue
		}
		first := map[[sha256.Size]byte]string{}
		for _, i := range same {
			sum, err := digest(files[i].name)
			if err != nil {
				return err
			}
			if other, ok := first[sum]; ok {
				files[i].skipped = "its content is that of " + other
				continue
			}
			first[sum] = files[i].name
		}
	}
	return nil
}

func digest(name string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
