package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestHugePages(t *testing.T) {
	// What the kernel can do, on memory of its own.
	const page = 2 << 20
	b, err := syscall.Mmap(-1, 0, 4*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Munmap(b); err != nil {
			t.Error(err)
		}
	}()
	for i := 0; i < len(b); i += 4096 {
		b[i] = byte(i >> 12)
	}
	before := hugeBytes(t)
	hugePages()
	if after := hugeBytes(t); after < before+page {
		if allowed, _ := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled"); !strings.Contains(string(allowed), "[never]") && syscall.Madvise(b, 25) == nil {
			t.Errorf("%d bytes in huge pages before, %d after, though the kernel gives them", before, after)
		}
		t.Skip("this kernel gives no huge pages now")
	}
	for i := 0; i < len(b); i += 4096 {
		if b[i] != byte(i>>12) {
			t.Fatalf("byte %d changed", i)
		}
	}
}

// hugeBytes is how much of the process is in huge pages.
func hugeBytes(t *testing.T) int {
	rollup, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		t.Skip(err)
	}
	kB := 0
	for line := range strings.Lines(string(rollup)) {
		if rest, ok := strings.CutPrefix(line, "AnonHugePages:"); ok {
			if _, err := fmt.Sscan(rest, &kB); err != nil {
				t.Fatal(err)
			}
		}
	}
	return kB << 10
}
