package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirproxy/weir/proxy/intercept"
)

// confirmPoll is how often a roll-back that waits looks whether it is still wanted.
const confirmPoll = 200 * time.Millisecond

// awaitConfirmation starts a process that takes the next change of these rules back
// when the time is over. It is of a session of its own, and outlives the shell or
// the connection that up was typed into.
func awaitConfirmation(name string, d time.Duration) (intercept.Pending, error) {
	p, err := intercept.Await(name, time.Now().Add(d))
	if err != nil {
		return p, err
	}
	if err := spawnRollback(p); err != nil {
		_, cerr := intercept.Confirm(name)
		return p, errors.Join(fmt.Errorf("--confirm: %w", err), cerr)
	}
	return p, nil
}

func spawnRollback(p intercept.Pending) error {
	log, err := os.OpenFile(filepath.Join(intercept.RuntimeDir(), "rollback-"+p.Name+".log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("/proc/self/exe", "intercept", "rollback", "--name", p.Name)
	cmd.Dir, cmd.Stderr = "/", log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != rollbackWaits+"\n" {
		_ = cmd.Wait()
		return fmt.Errorf("the process that would roll back ended with %s (%w); see %s", cmd.ProcessState, err, log.Name())
	}
	return nil
}

// rollbackWaits is the line that a roll-back says once it waits.
const rollbackWaits = "waiting"

func rollbackCommand() *cobra.Command {
	c := &cobra.Command{Use: "rollback", Short: "Take a change back when its time is over and nobody confirmed it", Hidden: true, Args: cobra.NoArgs}
	name := c.Flags().String("name", intercept.DefaultName, "name of the rules")
	c.RunE = func(c *cobra.Command, _ []string) error {
		signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
		asked := make(chan os.Signal, 1) // to end: what nobody will watch any more is taken back now
		signal.Notify(asked, syscall.SIGINT, syscall.SIGTERM)
		p, found, err := intercept.GetPending(*name)
		if err != nil || !found {
			return errors.Join(err, errors.New("nothing is pending"))
		}
		fmt.Fprintln(c.OutOrStdout(), rollbackWaits)
		tick := time.NewTicker(confirmPoll)
		defer tick.Stop()
		for wait := true; wait && time.Now().Before(p.Until); {
			select {
			case <-asked:
				wait = false
			case <-tick.C:
				if now, found, err := intercept.GetPending(*name); err == nil && (!found || now.Token != p.Token) {
					return nil
				}
			}
		}
		if err := p.Rollback(); err != nil {
			return err
		}
		if p.Before != nil && p.Before.NeedsGuard(intercept.Installed) {
			_, err = spawnGuard(*name)
		}
		return err
	}
	return c
}

func confirmCommand() *cobra.Command {
	c := &cobra.Command{Use: "confirm", Short: "Keep what `up --confirm` installed", Args: cobra.NoArgs}
	name := c.Flags().String("name", intercept.DefaultName, "name of the rules")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ok, err := intercept.Confirm(*name)
		if err != nil {
			return err
		}
		if !ok {
			return problem{fmt.Errorf("intercept %q: nothing awaits confirmation: too late, or confirmed already", *name)}
		}
		fmt.Fprintf(c.OutOrStdout(), "confirmed %s\n", *name)
		return nil
	}
	return c
}
