package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// hugePages asks the kernel to hold the memory in use in pages of 2 MB, as far as
// it can and the machine's owner lets it. A lead reads thousands of places
// scattered over the book, and finding small pages takes a good part of that. The
// price is memory where such a page is not full.
func hugePages() {
	const (
		page     = 2 << 20
		collapse = 25 // MADV_COLLAPSE of Linux 6.1; others refuse it, and nothing changes
	)
	allowed, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil || bytes.Contains(allowed, []byte("[never]")) {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		var from, to uintptr
		var rights, offset, device string
		var file uint64
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s %s %s %d", &from, &to, &rights, &offset, &device, &file); n == 6 &&
			rights == "rw-p" && file == 0 {
			// One by one: the kernel gives up at the first that it cannot fill.
			for at := (from + page - 1) &^ (page - 1); at+page <= to; at += page {
				_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, at, page, collapse)
			}
		}
	}
}
