package faults

import "os"

func suppressed() {
	os.Remove("a") //nolint:errcheck // for the test
	//nolint:errcheck // for all of the statement
	if true {
		os.Remove("b")
	}
	os.Remove("c") /* want "errcheck: " "nolint: want `//nolint:CHECK // the reason`" */ //nolint
	os.Remove("d") /* want "errcheck: " "nolint: want" */                                //nolint:errcheck
	os.Remove("e") // nolint:errcheck // for a space // want "errcheck: " "nolint: want"
	os.Remove("f") //nolint:unused // for another check // want "errcheck: " "nolint: unused finds nothing here: remove the comment"
	os.Remove("g") //nolint:nothing // for no check // want "errcheck: " "nolint: no check is called \"nothing\""
	_ = os.Remove  //nolint:errcheck // for nothing // want "nolint: errcheck finds nothing here"
	os.Remove("h") //nolint:errcheck,unused // for two // want "nolint: unused finds nothing here"
}
