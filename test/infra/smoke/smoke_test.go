package smoke

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/test/parts"
	"ociproxy/test/s3"
	"ociproxy/test/shop"
)

// run runs the script and returns its exit code and what it printed.
func run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(parts.Root(), "deploy", "terraform", "smoke.sh"), args...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestReader: the script finds a bucket right that anybody may read, and wrong one that anybody may do everything with.
func TestReader(t *testing.T) {
	server := s3.Start(t, "us-east-1")
	put := func(bucket string) {
		if _, err := server.Client().PutObject(t.Context(), &awss3.PutObjectInput{
			Bucket: &bucket, Key: aws.String(shop.Key(shop.EmptyObject)), Body: strings.NewReader("{}"),
		}); err != nil {
			t.Fatal(err)
		}
	}
	server.Make(t, "right")
	put("right")
	server.Make(t, "open")
	put("open")
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::open","arn:aws:s3:::open/*"]}]}`
	if _, err := server.Client().PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: aws.String("open"), Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	args := func(bucket string, more ...string) []string {
		return append([]string{"aws", "--region", "us-east-1", "--endpoint", "http://" + server.Backend(), "--bucket", bucket}, more...)
	}

	if code, out := run(t, args("right")...); code != 0 || strings.Contains(out, "WRONG") || !strings.Contains(out, "6 tried, 0 wrong") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	code, out := run(t, args("open")...)
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, what := range []string{"lists", "writes", "deletes"} {
		if !strings.Contains(out, fmt.Sprintf("got allowed: anybody %s\n", what)) {
			t.Errorf("the script does not see that anybody %s:\n%s", what, out)
		}
	}
	if code, out := run(t, args("absent")...); code != 1 || !strings.Contains(out, "got missing: anybody reads a blob") {
		t.Errorf("exit code %d for a bucket that does not exist\n%s", code, out)
	}
	if code, out := run(t, args("right", "--dry-run", "--as", "writer")...); code != 0 || !strings.Contains(out, "aws s3api put-object") {
		t.Errorf("exit code %d of a dry run\n%s", code, out)
	}
}

// TestDryRun: without accounts and tools, the script says what it would try in each cloud.
func TestDryRun(t *testing.T) {
	for _, args := range [][]string{
		{"aws", "--bucket", "b", "--region", "cn-north-1", "--as", "settings"},
		{"aws", "--bucket", "b", "--region", "us-east-1", "--as", "purge", "--role", "arn:aws:iam::1:role/r", "--token", "t", "--wrong-token", "w"},
		{"gcp", "--bucket", "b", "--as", "writer"},
		{"azure", "--account", "a", "--container", "c", "--as", "purge"},
	} {
		code, out := run(t, append(args, "--dry-run")...)
		if code != 0 || !strings.Contains(out, "denied") || !strings.Contains(out, "allowed") || strings.Contains(out, "wrong\n") {
			t.Errorf("%v: exit code %d\n%s", args, code, out)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"r2"}, {"aws"}, {"aws", "--bucket"}, {"aws", "--bucket", "b"}, {"gcp"}, {"azure", "--account", "a"}, {"gcp", "--as", "repair"}, {"gcp", "--colour", "red"},
	} {
		if code, out := run(t, args...); code != 2 || !strings.Contains(out, "hint: smoke.sh --help") {
			t.Errorf("%v: exit code %d\n%s", args, code, out)
		}
	}
	if code, out := run(t, "--help"); code != 0 || !strings.Contains(out, "Exit codes:") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
