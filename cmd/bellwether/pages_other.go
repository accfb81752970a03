//go:build !linux

package main

// hugePages does nothing where there is no way to ask for them.
func hugePages() {}
