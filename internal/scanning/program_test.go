package scanning_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// scannerMain is the program that scans in tests. It ends the process.
func scannerMain(how string, args []string) {
	switch how {
	case "fail":
		fmt.Fprintln(os.Stderr, "no <b>database</b>\x1b[31m: give me one")
		os.Exit(3)
	case "endless":
		for {
			fmt.Println(strings.Repeat("x", 1<<20))
		}
	case "hang", "child":
		time.Sleep(time.Hour)
	case "leave a child":
		child, err := os.StartProcess(os.Args[0], os.Args[:1], &os.ProcAttr{Env: []string{asScanner + "=child"}})
		if err == nil {
			err = os.WriteFile(os.Getenv("CHILD_FILE"), fmt.Append(nil, child.Pid), 0o600)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		time.Sleep(time.Hour)
	case "print":
		text, err := os.ReadFile(os.Getenv("REPORT_FILE"))
		if err != nil {
			os.Exit(1)
		}
		_, _ = os.Stdout.Write(text)
		os.Exit(0)
	case "environment":
		_, _ = os.Stdout.Write(report(named(strings.ReplaceAll(strings.Join(os.Environ(), " "), "=", " "))...))
		os.Exit(0)
	case "memory":
		var keep [][]byte
		for range 4 << 10 {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = 1
			}
			keep = append(keep, b)
		}
		fmt.Println(len(keep))
		os.Exit(0)
	}
	names, err := scanLayout(args[0])
	if len(args) > 1 { // a bill of materials
		var text []byte
		text, err = os.ReadFile(args[1])
		names = named(string(text))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = os.Stdout.Write(report(names...))
	os.Exit(0)
}

// scanLayout reads all blobs that the image of an OCI layout has.
func scanLayout(dir string) ([]string, error) {
	var index struct {
		Manifests []struct{ Digest string }
	}
	var image struct {
		Layers []struct{ Digest string }
	}
	read := func(name string, into any) error {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		return json.Unmarshal(text, into)
	}
	blob := func(d string) string { return filepath.Join("blobs", filepath.Join(strings.Split(d, ":")...)) }
	if err := read("index.json", &index); err != nil {
		return nil, err
	}
	if err := read(blob(index.Manifests[0].Digest), &image); err != nil {
		return nil, err
	}
	var names []string
	for _, l := range image.Layers {
		text, err := os.ReadFile(filepath.Join(dir, blob(l.Digest)))
		if err != nil {
			return nil, err
		}
		names = append(names, named(string(text))...)
	}
	return names, nil
}
