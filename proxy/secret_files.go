package proxy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"reflect"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config/filewatch"
	"github.com/weirproxy/weir/config/secret"
)

// filesPoll is how often files are looked at whose folders cannot be watched.
const filesPoll = 5 * time.Second

// run reads the files of secrets again when they change, until ctx ends.
func (k *secrets) run(ctx context.Context) {
	w, err := filewatch.New()
	if err == nil {
		defer func() { _ = w.Close() }()
	}
	told := ""
	for ctx.Err() == nil {
		wait, cancel := context.WithCancel(ctx)
		jobs, dirs := k.begin(cancel)
		if w != nil {
			err = w.Watch(dirs...)
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != "" && text != told {
			k.log.Warn("files of secrets are looked at from time to time", zap.Error(err), zap.Duration("every", filesPoll))
		}
		told = text
		for _, j := range jobs {
			k.refresh(j)
		}
		if err != nil {
			wait, cancel = context.WithTimeout(wait, filesPoll)
		}
		if w == nil {
			<-wait.Done()
		} else if err := w.Next(wait); err != nil && wait.Err() == nil {
			k.log.Error("files of secrets", zap.Error(err))
			<-wait.Done()
		}
		cancel()
	}
}

// job is one secret to look at.
type job struct {
	l     *liveSecret
	now   *secret.Secret
	again func() (*secret.Secret, error)
	files []string
}

// begin lists the secrets that are read from files, and the folders whose changes
// count: those of watched_directory where they are given, otherwise all that lead to
// the files. interrupt makes run begin again.
func (k *secrets) begin(interrupt context.CancelFunc) (jobs []job, dirs []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.interrupt = interrupt
	add := func(l *liveSecret) {
		if len(l.files.Files) > 0 {
			jobs = append(jobs, job{l, l.Load(), l.again, l.files.Files})
			dirs = append(dirs, l.files.WatchedDirs...)
		}
		if len(l.files.WatchedDirs) > 0 {
			return
		}
		for _, f := range l.files.Files {
			dirs = append(dirs, filewatch.Folders(f)...)
		}
	}
	for _, l := range k.named {
		add(l)
	}
	for l := range k.inline {
		select {
		case <-l.done:
			l.scope.Close()
			delete(k.inline, l)
		default:
			add(l)
		}
	}
	return jobs, dirs
}

// refresh reads a secret's files again if they changed, and swaps the secret if it
// did. What cannot be taken is told once.
func (k *secrets) refresh(j job) {
	l, sum := j.l, sumOf(j.files)
	if l.read == j.now && l.sum == sum {
		return
	}
	first := l.read != j.now // it was read before it came here: it may have changed meanwhile
	l.read, l.sum = j.now, sum
	v, err := j.again()
	if err != nil {
		l.stats.RotationFailed.Inc()
		k.log.Warn("changed files of a secret are not taken, the last good ones serve", zap.String("secret", l.name), zap.Error(err))
		return
	}
	if reflect.DeepEqual(v, j.now) {
		if !first {
			k.log.Debug("files of a secret were written and say the same", zap.String("secret", l.name))
		}
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.Load() != j.now {
		return // another version came meanwhile
	}
	l.files = v.Sources
	l.Store(v)
	l.read = v
	k.log.Info("files of a secret changed and are in force", zap.String("secret", l.name))
}

// sumOf tells the contents of files apart, and whether they can be read.
func sumOf(files []string) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			fmt.Fprintf(h, "%q", err)
			continue
		}
		n, err := io.Copy(h, io.LimitReader(f, maxFile))
		_ = f.Close()
		fmt.Fprintf(h, "%d %v", n, err)
	}
	h.Sum(sum[:0])
	return sum
}

// maxFile is beyond what a secret is read of, in bytes (config/secret).
const maxFile = 17 << 20
