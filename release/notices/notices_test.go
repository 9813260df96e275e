package main

import (
	"bytes"
	"os"
	"regexp"
	"testing"
)

func TestNoticesAreCurrent(t *testing.T) {
	// read, so that a cached result doesn't outlive a change of it
	if _, err := os.ReadFile("../../go.mod"); err != nil {
		t.Fatal(err)
	}
	want, err := notices()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../THIRD_PARTY_NOTICES")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("THIRD_PARTY_NOTICES is out of date: run make notices")
	}
}

// modulePath is a module and its version in a name of a dir.
var modulePath = regexp.MustCompile(`^\S+ v[^/ ]+|^Go's standard library`)

// Every module that is linked has a licence, and go-ethereum's are both there.
func TestNothingIsWithoutLicence(t *testing.T) {
	text, err := notices()
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := linked()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		module := modulePath.FindString(d.name)
		if !bytes.Contains(text, []byte("\n"+module)) {
			t.Errorf("%s has no licence", module)
		}
	}
	for _, want := range []string{
		"GNU LESSER GENERAL PUBLIC LICENSE", "GNU GENERAL PUBLIC LICENSE\n",
		"github.com/ethereum/go-ethereum v", "Go's standard library: LICENSE",
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the notices have no %q", want)
		}
	}
}
