package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"
)

// TestHugePages looks for the kernel's mark of advised memory ("hg") at the heap.
func TestHugePages(t *testing.T) {
	if b, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled"); err != nil || strings.Contains(string(b), "[never]") {
		t.Skip("the kernel has no huge pages to give")
	}
	if err := hugePages(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	at, heap := uint64(uintptr(unsafe.Pointer(new([32 << 10]byte)))), false
	for l := range strings.Lines(string(b)) {
		if strings.HasPrefix(l, "VmFlags:") {
			if heap && strings.Contains(l, " hg") {
				return
			}
			continue
		}
		var from, to uint64
		if n, _ := fmt.Sscanf(l, "%x-%x ", &from, &to); n == 2 {
			heap = from <= at && at < to
		}
	}
	t.Error("no part of the heap is advised")
}
