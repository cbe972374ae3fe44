package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"strings"
)

// machines are the machines of ELF files by GOARCH.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkStatic refuses a program for Linux that needs more than the kernel: an
// ELF interpreter (the dynamic loader) or shared libraries. The container image
// holds neither. Programs of macOS and Windows always link to their system.
func checkStatic(p platform, program []byte) error {
	if p.os != "linux" {
		return nil
	}
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("the program for %s is not an ELF file: %w", p, err)
	}
	if want, known := machines[p.arch]; known && f.Machine != want {
		return fmt.Errorf("the program for %s is for the machine %s, not %s", p, f.Machine, want)
	}
	for _, segment := range f.Progs {
		if segment.Type == elf.PT_INTERP {
			return fmt.Errorf("the program for %s is not static: it asks for a dynamic loader", p)
		}
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("reading the shared libraries of the program for %s: %w", p, err)
	}
	if len(libraries) > 0 {
		return fmt.Errorf("the program for %s is not static: it asks for %s", p, strings.Join(libraries, ", "))
	}
	return nil
}
