package support

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/weirproxy/weir/config/protos"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files and docs/supported-fields.md")

func TestMain(m *testing.M) {
	if len(protos.Types()) == 0 {
		panic("no types")
	}
	goleak.VerifyTestMain(m)
}

func descriptor(name string) protoreflect.MessageDescriptor {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil
	}
	md, _ := d.(protoreflect.MessageDescriptor)
	return md
}

// hidden fields are kept by Envoy only to reject old configurations; they cannot be set by name.
func hidden(fd protoreflect.FieldDescriptor) bool {
	return strings.HasPrefix(string(fd.Name()), "hidden_envoy_deprecated_")
}

// Every field of a listed message is classed, and every line is a field. An upgrade of the protos fails here first: the
// message prints the lines to add.
func TestEveryFieldIsClassed(t *testing.T) {
	for _, s := range Standard().sections {
		for _, m := range s.messages {
			if !m.isType {
				continue
			}
			md := descriptor(m.name)
			if md == nil {
				t.Errorf("%s.txt: no message %s", s.file, m.name)
				continue
			}
			if m.whole != nil {
				continue
			}
			fs := md.Fields()
			for i := range fs.Len() {
				fd := fs.Get(i)
				if _, ok := m.fields[string(fd.Name())]; ok || hidden(fd) {
					continue
				}
				class := "unsupported"
				if m.guarded {
					class = "unsupported!"
				}
				if o, ok := fd.Options().(*descriptorpb.FieldOptions); ok && o.GetDeprecated() {
					class += " deprecated"
				}
				t.Errorf("%s.txt: [%s] has no line for\n%s %s", s.file, m.name, fd.Name(), class)
			}
			for _, name := range m.order {
				field, value, isValue := strings.Cut(name, "=")
				fd := fs.ByName(protoreflect.Name(field))
				if fd == nil {
					t.Errorf("%s.txt: %s has no field %s", s.file, m.name, field)
					continue
				}
				if ed := fd.Enum(); isValue && ed != nil && ed.Values().ByName(protoreflect.Name(value)) == nil {
					t.Errorf("%s.txt: %s.%s has no value %s", s.file, m.name, field, value)
				}
				if _, ok := m.fields[field]; isValue && !ok {
					t.Errorf("%s.txt: %s.%s has a line for %s and none for the field", s.file, m.name, field, value)
				}
			}
		}
	}
}

// A field cannot be implemented when the message behind it is not listed.
func TestImplementedFieldsLeadToListedMessages(t *testing.T) {
	table := Standard()
	for name, m := range table.messages {
		md := descriptor(string(name))
		if md == nil || m.whole != nil {
			continue
		}
		for field, r := range m.fields {
			fd := md.Fields().ByName(protoreflect.Name(field))
			if r.class != Implemented || fd == nil {
				continue
			}
			target := fd.Message()
			if fd.IsMap() {
				target = fd.MapValue().Message()
			}
			if target == nil || strings.HasPrefix(string(target.FullName()), "google.protobuf.") {
				continue
			}
			// Metadata is carried, not interpreted.
			if sec := table.messages[target.FullName()]; sec == nil || sec.whole != nil && sec.whole.class == Unsupported {
				t.Errorf("%s.%s is implemented, %s is not listed", name, field, target.FullName())
			}
		}
	}
}

// The files stay sorted, so that a line is found and added without thought.
func TestFilesAreSorted(t *testing.T) {
	for _, s := range Standard().sections {
		if s.doc == "" {
			t.Errorf("%s.txt does not begin with a comment that says what is in it", s.file)
		}
		less := func(a, b *message) int {
			if a.isType != b.isType {
				return map[bool]int{true: -1, false: 1}[a.isType]
			}
			return strings.Compare(a.name, b.name)
		}
		if !slices.IsSortedFunc(s.messages, less) {
			t.Errorf("%s.txt: sections are not sorted", s.file)
		}
		for _, m := range s.messages {
			key := func(a, b string) int {
				return strings.Compare(strings.ReplaceAll(a, "=", "\x00"), strings.ReplaceAll(b, "=", "\x00"))
			}
			if !slices.IsSortedFunc(m.order, key) {
				t.Errorf("%s.txt: [%s] is not sorted", s.file, m.name)
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a implemented":                         "x.txt:1: line outside of a section",
		"[m\n":                                  "x.txt:1: no closing bracket",
		"[m]\na imp":                            `x.txt:2: unknown class "imp"`,
		"[m]\na harmless":                       "x.txt:2: a harmless field needs a reason",
		"[m]\na implemented\na unsupported":     "x.txt:3: a is repeated",
		"[m]\na=1 unsupported\na=1 unsupported": "x.txt:3: a=1 is repeated",
		"[m]\n[m]":                              "x.txt:2: m is repeated",
		"[struct s]\n":                          "x.txt:1: a struct has a class as a whole",
		"[m] unsupported! no\na unsupported":    "x.txt:2: line outside of a section",
		"[struct s] implemented\n[struct s] harmless": "x.txt:2: a harmless field needs a reason",
	} {
		if _, err := load(fstest.MapFS{"x.txt": {Data: []byte(text)}}); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestDocumentIsFresh(t *testing.T) {
	const file = "../../docs/supported-fields.md"
	var b bytes.Buffer
	if err := Standard().Print(&b); err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Errorf("docs/supported-fields.md is not fresh: run go test ./config/support -rewrite")
	}
}
