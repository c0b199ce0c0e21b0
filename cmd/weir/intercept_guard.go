package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weirproxy/weir/proxy/intercept"
)

func guardCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "guard", Short: "Hold the lease of installed rules while their port is listened on, and give it up at once when it is not", Args: cobra.NoArgs,
		Long: "Rules that need it (iptables, redirect, local) take connections only while a guard runs; `up` starts one. It ends when the rules are removed.",
	}
	name := c.Flags().String("name", intercept.DefaultName, "name of the rules")
	parent := c.Flags().Int("parent", 0, "watch the process with this number, by standard input, instead, and remove its rules when it has died; weir run starts that itself")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *parent != 0 {
			// Who asks the parent to end may ask its whole group: the guard stays until then.
			signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			return intercept.GuardParent(*name, *parent, os.Stdin, c.OutOrStdout())
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		return intercept.Guard(ctx, *name, func() { fmt.Fprintln(c.OutOrStdout(), guardWatches) }, func(err error) {
			fmt.Fprintln(c.ErrOrStderr(), err)
		})
	}
	return c
}

// guardWatches is the line that a guard says once it does its work.
const guardWatches = "guarding"

// spawnGuard starts a guard that outlives this command, unless one runs already,
// and gives its number, 0 if none was needed.
func spawnGuard(name string) (int, error) {
	if s, err := intercept.GetStatus(name); err != nil || s.Guard != 0 {
		return s.Guard, err
	}
	log, err := os.OpenFile(filepath.Join(intercept.RuntimeDir(), "guard-"+name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, fmt.Errorf("start guard: %w", err)
	}
	defer log.Close()
	cmd := exec.Command("/proc/self/exe", "intercept", "guard", "--name", name)
	cmd.Dir, cmd.Stderr = "/", log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return 0, fmt.Errorf("start guard: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != guardWatches+"\n" {
		_ = cmd.Wait()
		return 0, fmt.Errorf("start guard: it ended with %s (%w); see %s", cmd.ProcessState, err, log.Name())
	}
	return cmd.Process.Pid, nil
}

// startGuard starts the guard of this process's rules.
func startGuard(h *intercept.Handle, name string) error {
	cmd := exec.Command("/proc/self/exe", "intercept", "guard", "--name", name, "--parent", fmt.Sprint(os.Getpid()))
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	// Not of our process group: what a terminal or a supervisor sends to that is for us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return h.StartGuard(cmd)
}
