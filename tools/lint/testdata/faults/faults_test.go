package faults

import "testing"

func usedByTests() int { return 1 }

func TestUses(*testing.T) {
	_, _, _, _ = bodyIsNotClosed, copiesTheLoopVariable, doesNotLook, comparesErrors
	_, _, _, _ = callsInlined, misspells, doesNotAskRows, doesNotCloseRows
	_, _ = checksOfStaticcheck, ignoresTheSum
	_, _, _, _ = convertsToTheSame, fields{used: usedByTests()}, spellsOut, suppressed
}

func isUnusedInTests() {} // want "unused: func isUnusedInTests is unused"
