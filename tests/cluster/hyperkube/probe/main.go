// Command probe is for pods of tests that use the network.
//
//	probe serve ADDRESS TEXT   answers requests with the text, until it is ended
//	probe get URL              writes the answer
//	probe connect ADDRESS      opens a connection, no more
//	probe resolve NAME         writes the addresses
//
// It waits for 2 seconds, and exits with status 1 if there was no answer.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	switch {
	case len(arguments) == 3 && arguments[0] == "serve":
		return http.ListenAndServe(arguments[1], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, arguments[2])
		}))
	case len(arguments) == 2 && arguments[0] == "get":
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, arguments[1], nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		_, err = io.Copy(os.Stdout, answer.Body)
		return err
	case len(arguments) == 2 && arguments[0] == "connect":
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", arguments[1])
		if err != nil {
			return err
		}
		return connection.Close()
	case len(arguments) == 2 && arguments[0] == "resolve":
		addresses, err := net.DefaultResolver.LookupHost(ctx, arguments[1])
		fmt.Println(strings.Join(addresses, "\n"))
		return err
	}
	return fmt.Errorf("usage: probe serve ADDRESS TEXT | get URL | connect ADDRESS | resolve NAME")
}
