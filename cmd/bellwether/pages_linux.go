package main

import (
	"bufio"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// largePages asks the kernel for large pages under the heap as it stands. A
// decision reads thousands of places scattered over the state of all partners,
// and finding a small page of memory takes longer than reading it. Where the
// kernel does not do it nothing changes.
func largePages() {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	const (
		large    = 2 << 20
		collapse = 25 // MADV_COLLAPSE: now, not some day; Linux 6.1
	)
	// The heap is the writable memory in the same 64 GB as anything on it.
	heap := uintptr(unsafe.Pointer(new([large]byte))) >> 36
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uintptr
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x rw-p", &from, &to); err != nil || from>>36 != heap {
			continue
		}
		// One page at a time: a part that cannot be made one ends the call.
		for at := (from + large - 1) &^ (large - 1); at+large <= to; at += large {
			unix.Syscall(unix.SYS_MADVISE, at, large, unix.MADV_HUGEPAGE)
			unix.Syscall(unix.SYS_MADVISE, at, large, collapse)
		}
	}
}
