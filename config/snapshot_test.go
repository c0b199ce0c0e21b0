package config

import (
	"reflect"
	"testing"
)

// TestAllIsAll holds All to the fields of a Snapshot: what it forgets is not kept as last known good, nor compared by a dry run.
func TestAllIsAll(t *testing.T) {
	s, want := &Snapshot{}, 0
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		if m := (map[string]*Resource{}); v.Field(i).Type() == reflect.TypeOf(m) {
			v.Field(i).Set(reflect.ValueOf(m))
			m[v.Type().Field(i).Name] = &Resource{}
			want++
		}
	}
	got := 0
	for _, m := range s.All() {
		got += len(m)
	}
	if got != want {
		t.Errorf("All gives %d types of a snapshot with %d", got, want)
	}
}
