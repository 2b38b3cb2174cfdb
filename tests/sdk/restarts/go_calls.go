// Calls of go-customerio until told to stop: go_calls BASE_URL SITE_ID API_KEY PARALLEL PAUSE_MS STOP_FILE [CERTIFICATE_AUTHORITY]
package main

import (
	"encoding/json"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	customerio "github.com/customerio/go-customerio/v3"
)

type line struct {
	Customer string `json:"customer"`
	N        int    `json:"n"`
	Type     string `json:"type"`
	OK       bool   `json:"ok"`
	Error    string `json:"error,omitempty"`
}

var writing sync.Mutex

func write(value any) {
	writing.Lock()
	defer writing.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(value); err != nil {
		panic(err)
	}
}

func call(client *customerio.CustomerIO, customer string, n int) line {
	made := line{Customer: customer, N: n, Type: "identify"}
	var err error
	if n%2 == 1 {
		made.Type = "track"
		err = client.Track(customer, "step", map[string]any{"n": n})
	} else {
		err = client.Identify(customer, map[string]any{"n": n})
	}
	if made.OK = err == nil; err != nil {
		made.Error = err.Error()
	}
	return made
}

func main() {
	base, siteID, apiKey, stopFile := os.Args[1], os.Args[2], os.Args[3], os.Args[6]
	parallel, _ := strconv.Atoi(os.Args[4])
	pauseMs, _ := strconv.Atoi(os.Args[5])
	if len(os.Args) > 7 {
		os.Setenv("SSL_CERT_FILE", os.Args[7])
	}
	client := customerio.NewTrackClient(siteID, apiKey, customerio.WithURL(base))
	write(map[string]string{"library": "go-customerio " + customerio.Version + ", " + runtime.Version()})
	var workers sync.WaitGroup
	for worker := 0; worker < parallel; worker++ {
		workers.Add(1)
		go func(customer string) {
			defer workers.Done()
			for n := 1; ; n++ {
				if _, err := os.Stat(stopFile); err == nil {
					return
				}
				write(call(client, customer, n))
				time.Sleep(time.Duration(pauseMs) * time.Millisecond)
			}
		}("w" + strconv.Itoa(worker))
	}
	workers.Wait()
}
