package yamlproto

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each file of testdata/resources becomes a list of resources, or of errors.
func TestResourcesGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/resources/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			rs, err := UnmarshalResources(data, Options{File: filepath.Base(file)})
			var b strings.Builder
			for _, r := range rs {
				p, _ := r.Index.At("name")
				fmt.Fprintf(&b, "%s %q at %v, %d bytes\n", r.Any.TypeUrl, r.Name, p, len(r.Any.Value))
				if es := r.Index.Validate(r.Any); es != nil {
					b.WriteString(es.Error() + "\n")
				}
			}
			if err != nil {
				var es Errors
				if !errors.As(err, &es) {
					t.Fatalf("error is %T", err)
				}
				b.WriteString(es.Error() + "\n")
			}
			golden(t, file+".golden", b.String())
		})
	}
}
