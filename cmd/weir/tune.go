package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tune sets the runtime up for a data path.
func tune(o *flags) {
	if o.concurrency > 0 {
		runtime.GOMAXPROCS(o.concurrency)
	}
	if os.Getenv("GOGC") == "" {
		collectByLive()
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		if limit := cgroupMemory(); limit > 0 {
			debug.SetMemoryLimit(limit / 10 * 9)
		}
	}
	if limit := cgroupMemory(); limit == 0 || limit >= enoughForHuge {
		_ = hugePages() // without them it is slower, no more
	}
}

const (
	// heapArena is in what pieces the runtime takes memory for the heap, aligned
	// (64-bit Linux).
	heapArena = 64 << 20
	// enoughForHuge is the memory limit, in bytes, from which on a few half-used huge
	// pages do not matter.
	enoughForHuge = 256 << 20
)

// hugePages asks the kernel for huge pages under the heap's first 64 MiB, where the
// data path's memory lies, for systems that give them only to who asks
// (transparent_hugepage=madvise): hundreds of streams, each with a stack, do not fit
// the processor's table of small pages (docs/performance.md).
func hugePages() error {
	at := uintptr(unsafe.Pointer(new([32 << 10]byte))) &^ (heapArena - 1)
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, at, heapArena, unix.MADV_HUGEPAGE); errno != 0 {
		return os.NewSyscallError("madvise", errno)
	}
	return nil
}
