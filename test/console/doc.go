// Package console tests the web console in a browser, Debian's chromium: each page in
// both schemes of colours and two widths for accessibility (axe-core), for violations of
// its content security policy and for what others wrote; its flows by keyboard alone
// and without scripts; and pictures of it for the manual.
package console
