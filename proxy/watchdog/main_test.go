package watchdog

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestMain is three programs: the tests, a process that is watched (victim), and
// its guard.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "guard":
		pid, _ := strconv.Atoi(os.Args[3])
		limit, _ := time.ParseDuration(os.Args[5])
		if err := Serve(pid, limit, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case os.Getenv("WATCHDOG_VICTIM") != "":
		victim(os.Getenv("WATCHDOG_VICTIM"))
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// limit is long enough for a busy machine.
const limit = 800 * time.Millisecond

// victim is watched, and does what the tests want. It prints the number of its guard first.
func victim(does string) {
	time.AfterFunc(time.Minute, func() { os.Exit(9) }) // whatever becomes of the test
	pulses := []Pulse{&answering{}}
	w, err := Start(Options{
		Limit: limit, Command: []string{"/proc/self/exe", "guard"},
		Pulses: func() []Pulse { return pulses },
		Report: func(err error) { fmt.Fprintln(os.Stderr, "reported:", err) },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(w.Guard())
	switch does {
	case "stop":
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	case "silent":
		past := time.Now().Add(-2 * endLimit)
		w.ended.Store(&past) // the beats end, and the guard is not told
		<-time.NewTicker(time.Hour).C
	case "stuck":
		pulses = append(pulses, mute{})
	case "end":
		w.End()
		w.Close()
		return
	case "crash":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	}
	var one [1]byte
	_, _ = os.Stdin.Read(one[:]) // until the test has seen enough
	w.Close()
}

// answering answers at once.
type answering struct{ n uint64 }

func (a *answering) Ask()            { a.n++ }
func (a *answering) Answers() uint64 { return a.n }
func (a *answering) String() string  { return "answering" }

// mute never answers.
type mute struct{}

func (mute) Ask()            {}
func (mute) Answers() uint64 { return 0 }
func (mute) String() string  { return "mute" }
