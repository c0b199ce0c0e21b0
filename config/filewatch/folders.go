package filewatch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinks bounds how many links a name may lead through (the kernel: ELOOP).
const maxLinks = 40

// Folders gives the folders in which a change may put another file behind a name: that of the file itself, and those of all links on
// the way to it. For a name that leads nowhere it ends with the folder in which the next step is missing.
func Folders(path string) []string {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	var out []string
	at, rest := "/", strings.Split(path[1:], "/")
	for links := 0; len(rest) > 0; {
		step := filepath.Join(at, rest[0])
		rest = rest[1:]
		st, err := os.Lstat(step)
		if err != nil || len(rest) == 0 {
			out = append(out, at)
		}
		if err != nil {
			break
		}
		if st.Mode()&os.ModeSymlink == 0 {
			at = step
			continue
		}
		to, err := os.Readlink(step)
		if links++; err != nil || links > maxLinks {
			break
		}
		out = append(out, at)
		if filepath.IsAbs(to) {
			at = "/"
		}
		rest = append(slices.DeleteFunc(strings.Split(to, "/"), func(s string) bool { return s == "" }), rest...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
