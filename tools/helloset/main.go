// Command helloset records the ClientHello of every TLS stack it finds on this
// machine: it lets each client connect to a listener on the loopback, keeps
// the bytes up to the end of the hello, and closes.
//
//	cd tools && go run ./helloset -o ../proxy/sniff/testdata/hellos [-only PREFIX] [-clients DIR] [-rustls PROGRAM]
//
// The rustls client has to be built before: cargo build --release in
// helloset/clients/rustls, or anywhere with -rustls naming the program.
// Each hello becomes one file NAME.bin, exactly as it came over the wire, and a
// line of INDEX says which client sent it and how it was called. A client that
// is not installed is skipped and its earlier recording kept.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// serverName is what clients are asked to put into server_name.
const serverName = "hello.weir.test"

func main() {
	log.SetFlags(0)
	log.SetPrefix("helloset: ")
	out := flag.String("o", "", "folder to write to")
	only := flag.String("only", "", "record only names with this prefix")
	clients := flag.String("clients", "helloset/clients", "folder of the client programs")
	rustls := flag.String("rustls", "helloset/clients/rustls/target/release/hello", "the built rustls client")
	flag.Parse()
	if *out == "" || flag.NArg() != 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*out, *only, recordings(*clients, *rustls)); err != nil {
		log.Fatal(err)
	}
}

// run records every client of the table.
func run(out, only string, table []recording) error {
	index, err := readIndex(out)
	if err != nil {
		return err
	}
	for _, r := range table {
		if !strings.HasPrefix(r.name, only) {
			continue
		}
		hello, err := r.record()
		if err != nil {
			log.Printf("skip %s: %v", r.name, err)
			continue
		}
		if err := os.WriteFile(filepath.Join(out, r.name+".bin"), hello, 0o644); err != nil {
			return err
		}
		index[r.name] = r.version() + "\t" + r.how
		log.Printf("%-24s %5d bytes", r.name, len(hello))
	}
	return writeIndex(out, index)
}

// recording is one row of the table: a client and how to call it.
type recording struct {
	name string
	how  string // the call as INDEX shows it, PORT for the port
	// start makes the client connect to 127.0.0.1:port and returns when it
	// has given up; the listener closes after the hello.
	start func(ctx context.Context, port string) error
	// version names the client and its version.
	version func() string
}

// record lets the client connect and returns the hello it sends.
func (r recording) record() ([]byte, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	started := make(chan error, 1)
	go func() {
		started <- r.start(ctx, port)
		ln.Close() // so that accept returns if nobody came
	}()
	hello, err := acceptHello(ln)
	ln.Close()
	cancel()
	if startErr := <-started; err != nil {
		return nil, errors.Join(err, startErr)
	}
	return hello, nil
}

// acceptHello accepts a connection and reads the records of a ClientHello.
func acceptHello(ln net.Listener) ([]byte, error) {
	conn, err := ln.Accept()
	if err != nil {
		return nil, errors.New("client did not connect")
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	return readHello(conn)
}

// readHello reads whole records until the handshake message they carry is
// complete, and returns them with their headers.
func readHello(r io.Reader) ([]byte, error) {
	var wire, message []byte
	for {
		var h [5]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return nil, fmt.Errorf("read record header: %w", err)
		}
		if h[0] != 22 {
			return nil, fmt.Errorf("record of type %d", h[0])
		}
		payload := make([]byte, binary.BigEndian.Uint16(h[3:]))
		if _, err := io.ReadFull(r, payload); err != nil {
			return nil, fmt.Errorf("read record: %w", err)
		}
		wire = append(append(wire, h[:]...), payload...)
		message = append(message, payload...)
		if len(message) >= 4 {
			size := 4 + int(message[1])<<16 + int(binary.BigEndian.Uint16(message[2:]))
			if len(message) >= size {
				return wire, nil
			}
		}
	}
}

// readIndex returns the lines of INDEX by name, empty if there is none.
func readIndex(dir string) (map[string]string, error) {
	index := map[string]string{}
	b, err := os.ReadFile(filepath.Join(dir, "INDEX"))
	if errors.Is(err, os.ErrNotExist) {
		return index, os.MkdirAll(dir, 0o755)
	}
	for line := range strings.Lines(string(b)) {
		if name, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok {
			index[name] = rest
		}
	}
	return index, err
}

// writeIndex writes INDEX in order of names.
func writeIndex(dir string, index map[string]string) error {
	var lines []string
	for name, rest := range index {
		lines = append(lines, name+"\t"+rest+"\n")
	}
	sort.Strings(lines)
	return os.WriteFile(filepath.Join(dir, "INDEX"), []byte(strings.Join(lines, "")), 0o644)
}

// command returns a recording of an external program; each "PORT" in args is
// replaced.
func command(clients, name string, version []string, args ...string) recording {
	return recording{
		name:    name,
		how:     strings.Join(shown(clients, args), " "),
		version: func() string { return firstWords(version...) },
		start: func(ctx context.Context, port string) error {
			argv := make([]string, len(args))
			for i, a := range args {
				argv[i] = strings.ReplaceAll(a, "PORT", port)
			}
			if _, err := exec.LookPath(argv[0]); err != nil {
				return err
			}
			return exec.CommandContext(ctx, argv[0], argv[1:]...).Run()
		},
	}
}

// shown shortens the arguments for INDEX: program files by their base name.
func shown(clients string, args []string) []string {
	s := make([]string, len(args))
	for i, a := range args {
		if filepath.IsAbs(a) || strings.HasPrefix(a, clients) {
			a = filepath.Base(a)
		}
		s[i] = a
	}
	return s
}

// firstWords runs a program and returns the first five words it prints.
func firstWords(argv ...string) string {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil && len(out) == 0 {
		return argv[0]
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	words := strings.Fields(line)
	return strings.Join(words[:min(len(words), 5)], " ")
}
