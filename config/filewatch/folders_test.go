package filewatch

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFolders(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
	for _, d := range []string{"vol/..1", "other", "deep/v1/x"} {
		if err := os.MkdirAll(at(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"vol/..1/tls.crt", "other/f", "deep/v1/x/f"} {
		if err := os.WriteFile(at(f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"vol/..data": "..1", "vol/tls.crt": "..data/tls.crt", "deep/now": "v1", "abs": at("other/f"), "loop": "loop", "up": "other/../vol",
	} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	f := func(path string, want ...string) {
		t.Helper()
		for i := range want {
			want[i] = at(want[i])
		}
		if diff := cmp.Diff(want, Folders(at(path))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	f("other/f", "other")
	f("vol/tls.crt", "vol", "vol/..1")
	f("deep/now/x/f", "deep", "deep/v1/x")
	f("abs", "", "other")
	f("loop", "")
	f("up/tls.crt", "", "vol", "vol/..1")
	f("other/none", "other")
	f("none/deeper/f", "")
}
