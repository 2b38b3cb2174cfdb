// Hands one event to outboxd for each number on standard input: producer [SOCKET [CUSTOMER]]
//
// Prints each number that was accepted with the id of its job. Exit status: 0 all were accepted, 1 some were refused for
// good, 75 outboxd took nothing for OUTBOXD_PATIENCE seconds. Built by: go build producer.go
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand"
	"net"
	"os"
	"strconv"
	"time"
)

var (
	replyTimeout = seconds("OUTBOXD_REPLY_TIMEOUT", 30)
	patience     = seconds("OUTBOXD_PATIENCE", 600)
	tryAgain     = map[string]bool{"busy": true, "spool_full": true, "internal": true}

	errRefused     = errors.New("refused")     // outboxd will never take this job
	errUnavailable = errors.New("unavailable") // outboxd took nothing for too long
)

type event struct {
	Type      string      `json:"type"`
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Data      interface{} `json:"data,omitempty"`
	EventID   string      `json:"event_id"`
	Timestamp int64       `json:"timestamp"`
}

type reply struct {
	OK    bool   `json:"ok"`
	Job   string `json:"job"`
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// outbox is a connection to outboxd, opened when it is needed. It belongs to one goroutine.
type outbox struct {
	path    string
	conn    net.Conn
	replies *bufio.Reader
}

// send returns the job's id once the job is on stable storage.
func (o *outbox) send(job interface{}) (string, error) {
	line, err := json.Marshal(job)
	if err != nil {
		return "", err
	}
	line = append(line, '\n')
	deadline := time.Now().Add(patience)
	wait := 100 * time.Millisecond
	for {
		answer, err := o.ask(line)
		if err != nil {
			o.close() // a reply that comes late must not be taken for the next one
		} else if answer.OK {
			return answer.Job, nil
		} else {
			err = fmt.Errorf("%s: %s", answer.Error.Code, answer.Error.Message)
			if !tryAgain[answer.Error.Code] {
				return "", fmt.Errorf("%w: %v", errRefused, err)
			}
		}
		if time.Now().Add(wait).After(deadline) {
			return "", fmt.Errorf("%w: %v", errUnavailable, err)
		}
		fmt.Fprintf(os.Stderr, "%v; trying again\n", err)
		time.Sleep(wait/2 + time.Duration(mathrand.Int63n(int64(wait/2))))
		if wait *= 2; wait > 5*time.Second {
			wait = 5 * time.Second
		}
	}
}

func (o *outbox) ask(line []byte) (answer reply, err error) {
	if o.conn == nil {
		if o.conn, err = net.DialTimeout("unix", o.path, replyTimeout); err != nil {
			o.conn = nil
			return answer, err
		}
		o.replies = bufio.NewReader(o.conn)
	}
	o.conn.SetDeadline(time.Now().Add(replyTimeout))
	if _, err = o.conn.Write(line); err != nil {
		return answer, err
	}
	text, err := o.replies.ReadBytes('\n')
	if err != nil {
		return answer, err
	}
	return answer, json.Unmarshal(text, &answer)
}

func (o *outbox) close() {
	if o.conn != nil {
		o.conn.Close()
		o.conn = nil
	}
}

// ulid has 48 bits of milliseconds and 80 random ones: made once for each event, whatever happens to it.
func ulid() string {
	const base32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var text [26]byte
	if _, err := rand.Read(text[10:]); err != nil {
		panic(err)
	}
	for i := 10; i < 26; i++ {
		text[i] = base32[text[i]&31]
	}
	for i, ms := 9, time.Now().UnixMilli(); i >= 0; i, ms = i-1, ms>>5 {
		text[i] = base32[ms&31]
	}
	return string(text[:])
}

func seconds(variable string, otherwise float64) time.Duration {
	if given, err := strconv.ParseFloat(os.Getenv(variable), 64); err == nil {
		otherwise = given
	}
	return time.Duration(otherwise * float64(time.Second))
}

func argument(index int, otherwise string) string {
	if len(os.Args) > index {
		return os.Args[index]
	}
	return otherwise
}

func main() {
	out := outbox{path: argument(1, "/run/outboxd/outboxd.sock")}
	customer := argument(2, "42")
	status := 0
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		number := json.Number(input.Text())
		data := map[string]json.Number{"n": number}
		job, err := out.send(event{"track", customer, "step", data, ulid(), time.Now().Unix()})
		switch {
		case err == nil:
			fmt.Println(number, job)
		case errors.Is(err, errUnavailable):
			fmt.Fprintf(os.Stderr, "%v: %v\n", number, err)
			os.Exit(75)
		default:
			fmt.Fprintf(os.Stderr, "%v: %v\n", number, err)
			status = 1
		}
	}
	os.Exit(status)
}
