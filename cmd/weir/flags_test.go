package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

const tiny = "static_resources: {}"

// envoyFlags are the flags of Envoy 1.40, from its own help.
func envoyFlags(t *testing.T) (out [][2]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/envoy-flags.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, kind, _ := strings.Cut(strings.TrimSpace(line), " ")
		out = append(out, [2]string{strings.TrimPrefix(name, "--"), kind})
	}
	return out
}

// TestEveryEnvoyFlag takes each flag of Envoy's in both spellings.
func TestEveryEnvoyFlag(t *testing.T) {
	values := map[string]string{
		"config-yaml": "admin: {}", "drain-strategy": "immediate", "local-address-ip-version": "v6", "log-level": "warn",
		"mode": "validate", "stats-tag": "zone:a", "socket-mode": "0600", "component-log-level": "upstream:debug,config:trace",
	}
	path := t.TempDir() + "/tiny.yaml"
	if err := os.WriteFile(path, []byte(tiny), 0o600); err != nil {
		t.Fatal(err)
	}
	values["config-path"] = path
	for _, f := range envoyFlags(t) {
		name, kind := f[0], f[1]
		v := values[name]
		switch {
		case v != "":
		case kind == "uint32":
			v = "1"
		case kind == "string":
			v = "word"
		}
		forms := [][]string{{"--" + name}, {"--" + name + "=true"}}
		switch {
		case kind != "":
			forms = [][]string{{"--" + name, v}, {"--" + name + "=" + v}}
		case name == "version":
			forms = forms[:1]
		}
		for _, form := range forms {
			args := append([]string{"-c", path, "--mode", "validate"}, form...)
			if code, out, errs := weir(t, args...); code != 0 {
				t.Errorf("%s: exit %d\n%s%s", strings.Join(form, " "), code, out, errs)
			}
		}
		if kind == "uint32" {
			if code, _, _ := weir(t, "-c", path, "--mode", "validate", "--"+name, "-1"); code != 1 {
				t.Errorf("--%s -1: exit %d", name, code)
			}
		}
	}
}

// TestEnvoysHelp holds the list to the Envoy that is installed here, if one is.
func TestEnvoysHelp(t *testing.T) {
	b, err := exec.CommandContext(t.Context(), "envoy", "--help").Output()
	if err != nil {
		t.Skip("no envoy to compare with:", err)
	}
	known := map[string]bool{"ignore_rest": true, "help": true}
	for _, f := range envoyFlags(t) {
		known[f[0]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^   (?:-\S*(?: <string>)?,  )?--([a-z_-]+)`).FindAllSubmatch(b, -1) {
		if name := string(bytes.TrimSpace(m[1])); !known[name] {
			t.Errorf("envoy has --%s, testdata/envoy-flags.txt has not", name)
		}
	}
}

func TestFlagsRefused(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--mode", "listen"}, `weir: --mode "listen": want serve, validate or init_only`},
		{[]string{"--drain-strategy", "now"}, `weir: --drain-strategy "now": want gradual or immediate`},
		{[]string{"--component-log-level", "config:loud"}, `weir: --component-log-level "config:loud": unknown logger level`},
		{[]string{"--log-format", "%q"}, `weir: --log-format "%q": log format: no flag %q`},
		{[]string{"--use-dynamic-base-id", "--restart-epoch", "1"}, `weir: --use-dynamic-base-id: cannot be used with --restart-epoch`},
		{[]string{"-l", "loud"}, `weir: --log-level "loud": want trace, debug,`},
		{[]string{"--local-address-ip-version", "v5"}, `weir: --local-address-ip-version "v5": want v4 or v6`},
		{[]string{"--concurrency", "many"}, `weir: invalid argument "many" for "--concurrency"`},
		{[]string{"--stats-tag", "zone"}, `weir: --stats-tag "zone": want name:value`},
		{[]string{"--stats-tag", "a:1", "--stats-tag", "a:2"}, `weir: --stats-tag "a:2": "a" has a value already`},
		{[]string{"--intercept", "0-99999"}, `weir: --intercept: `},
		{[]string{"--no-such-flag"}, `weir: unknown flag: --no-such-flag`},
		{[]string{"-c"}, `weir: flag needs an argument: 'c' in -c`},
		{[]string{"no-such-verb"}, `weir: unknown command "no-such-verb" for "weir"`},
		{[]string{"-c", "no/such/file.yaml"}, `weir: read bootstrap: open no/such/file.yaml: no such file or directory`},
	} {
		args := c.args
		if args[0] != "-c" && args[0] != "no-such-verb" {
			args = append([]string{"--config-yaml", tiny}, args...)
		}
		for _, verb := range [][]string{nil, {"validate"}} {
			if args[0] == "no-such-verb" && verb != nil {
				continue
			}
			code, out, errs := weir(t, append(verb, args...)...)
			if code != 1 || out != "" || !strings.HasPrefix(errs, c.want) {
				t.Errorf("%v %v: exit %d, output %q, errors %q; want %q", verb, args, code, out, errs, c.want)
			}
		}
	}
}

func TestNoConfiguration(t *testing.T) {
	if _, err := os.Stat(rootPath); err == nil && os.Getuid() == 0 {
		t.Skip(rootPath + " exists")
	}
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	code, out, errs := weir(t)
	if want := "weir: no configuration: give a file with -c, or --config-yaml\n"; code != 1 || out != "" || errs != want {
		t.Errorf("exit %d, output %q, errors %q", code, out, errs)
	}
}

func TestVersions(t *testing.T) {
	if code, out, _ := weir(t, "--version"); code != 0 || out != "\nweir  version: weir-dev/1.40.0/Clean/RELEASE/Go\n\n" {
		t.Errorf("--version: exit %d, %q", code, out)
	}
	if code, out, errs := weir(t, "--hot-restart-version"); code != 0 || out != "" || errs != "11.104\n" {
		t.Errorf("--hot-restart-version: exit %d, %q, %q", code, out, errs)
	}
}

func TestIgnoredFlagsAreTold(t *testing.T) {
	c := command()
	o := new(flags)
	f := c.Flags()
	f.SortFlags = false
	o.sets = append(o.sets, f)
	if err := f.Parse([]string{"--restart-epoch", "3", "--disable-hot-restart"}); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(o.ignored(), "\n")
	if want := "--restart-epoch: there is no hot restart\n--disable-hot-restart: there is no hot restart"; got != want {
		t.Errorf("got %q", got)
	}
}

// TestBehindDash: what stands behind "--" is a launcher's own; what stands before it is still an error when it is no flag.
func TestBehindDash(t *testing.T) {
	for _, verb := range [][]string{nil, {"run"}} {
		args := append(verb, "--config-yaml", tiny, "--mode", "validate")
		if code, out, errs := weir(t, append(args, "--", "--run-id", "20260101", "validate")...); code != 0 {
			t.Errorf("%v: exit %d\n%s%s", verb, code, out, errs)
		}
		if code, _, errs := weir(t, append(args, "word", "--", "--run-id")...); code != 1 || !strings.Contains(errs, `"word"`) {
			t.Errorf("%v: exit %d\n%s", verb, code, errs)
		}
	}
}
