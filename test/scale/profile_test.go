package scale

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// profile keeps a profile of the next seconds, as soon as the admin interface answers.
func (b *bench) profile(t *testing.T, name string, seconds int) {
	if *profiles == "" || b.name != "weir" || *many < 1000 {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { b.fetch(t, name+".cpu", fmt.Sprintf("profile?seconds=%d", seconds)) })
	t.Cleanup(wg.Wait)
}

// trace keeps what the runtime does in the next seconds.
func (b *bench) trace(t *testing.T, name string, seconds int) {
	if *profiles == "" || b.name != "weir" || *many < 1000 {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { b.fetch(t, name+".trace", fmt.Sprintf("trace?seconds=%d", seconds)) })
	t.Cleanup(wg.Wait)
}

func (b *bench) heap(t *testing.T) {
	if *profiles != "" && b.name == "weir" && *many >= 1000 {
		b.fetch(t, "heap", "heap?gc=1")
	}
}

func (b *bench) fetch(t *testing.T, name, query string) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		<-tick.C
		r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/%s", b.admin, query))
		if err != nil {
			continue
		}
		if r.StatusCode != http.StatusOK { // another profile is being taken
			_ = r.Body.Close()
			continue
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err == nil {
			file := strings.NewReplacer("/", "-", " ", "-", ":", "").Replace(t.Name() + "-" + name)
			err = os.WriteFile(filepath.Join(*profiles, file), body, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
		return
	}
}
