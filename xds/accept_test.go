package xds

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNACKTextIsBounded(t *testing.T) {
	errs := make([]string, 50_000)
	for i := range errs {
		errs[i] = `cluster "x": lb_policy: ` + strings.Repeat("é", 20) + "\xff"
	}
	text := bounded(errs, maxDetail)
	if len(text) > maxDetail+100 || !utf8.ValidString(text) || !strings.Contains(text, "… and ") {
		t.Errorf("%d bytes, ends %q", len(text), text[len(text)-40:])
	}
	if one := bounded([]string{strings.Repeat("é", maxLogged)}, maxLogged); len(one) > maxLogged+10 || !utf8.ValidString(one) {
		t.Errorf("a single long error gives %d bytes", len(one))
	}
	if few := bounded([]string{"a", "b"}, maxDetail); few != "a\nb" {
		t.Errorf("two errors give %q", few)
	}
}
