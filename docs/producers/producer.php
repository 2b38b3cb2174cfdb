<?php
// Hands one event to outboxd for each number on standard input: php producer.php [SOCKET [CUSTOMER]]
//
// Prints each number that was accepted with the id of its job. Exit status: 0 all were accepted, 1 some were refused for
// good, 75 outboxd took nothing for OUTBOXD_PATIENCE seconds.
declare(strict_types=1);

define('REPLY_TIMEOUT', (float) (getenv('OUTBOXD_REPLY_TIMEOUT') ?: 30));
define('PATIENCE', (float) (getenv('OUTBOXD_PATIENCE') ?: 600));
const TRY_AGAIN = ['busy', 'spool_full', 'internal'];
const BASE32 = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

final class Refused extends Exception {} // outboxd will never take this job
final class Unavailable extends Exception {} // outboxd took nothing for too long

// A connection to outboxd, opened when it is needed.
final class Outbox
{
    /** @var resource|null */
    private $socket = null;

    public function __construct(private string $path)
    {
    }

    // Returns the job's id once the job is on stable storage.
    public function send(array $job): string
    {
        $line = json_encode($job, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES) . "\n";
        $deadline = hrtime(true) / 1e9 + PATIENCE;
        for ($wait = 0.1;; $wait = min(2 * $wait, 5)) {
            $reply = $this->ask($line, $trouble);
            if ($reply === null) {
                $this->close(); // a reply that comes late must not be taken for the next one
            } elseif ($reply['ok']) {
                return $reply['job'];
            } else {
                $trouble = $reply['error']['code'] . ': ' . $reply['error']['message'];
                if (!in_array($reply['error']['code'], TRY_AGAIN, true)) {
                    throw new Refused($trouble);
                }
            }
            if (hrtime(true) / 1e9 + $wait > $deadline) {
                throw new Unavailable($trouble);
            }
            fwrite(STDERR, "$trouble; trying again\n");
            usleep(random_int((int) ($wait * 5e5), (int) ($wait * 1e6)));
        }
    }

    public function close(): void
    {
        if ($this->socket) {
            fclose($this->socket);
        }
        $this->socket = null;
    }

    // The reply; null: there was none, and $trouble says why.
    private function ask(string $line, ?string &$trouble): ?array
    {
        if (!$this->socket) {
            $this->socket = @stream_socket_client("unix://$this->path", $code, $trouble, REPLY_TIMEOUT) ?: null;
            if (!$this->socket) {
                return null;
            }
            stream_set_timeout($this->socket, (int) REPLY_TIMEOUT, (int) (fmod(REPLY_TIMEOUT, 1) * 1e6));
        }
        for ($sent = 0; $sent < strlen($line); $sent += $count) { // fwrite may take a part
            $count = @fwrite($this->socket, substr($line, $sent));
            if (!$count) {
                $trouble = 'outboxd does not read';
                return null;
            }
        }
        $reply = fgets($this->socket);
        if ($reply === false || !str_ends_with($reply, "\n")) {
            $timed_out = stream_get_meta_data($this->socket)['timed_out'];
            $trouble = $timed_out ? 'no reply in time' : 'outboxd closed the connection';
            return null;
        }
        return json_decode($reply, true, 8, JSON_THROW_ON_ERROR);
    }
}

// 48 bits of milliseconds and 80 random ones: made once for each event, whatever happens to it.
function ulid(): string
{
    $text = '';
    for ($i = 0, $ms = (int) (microtime(true) * 1000); $i < 10; ++$i, $ms >>= 5) {
        $text = BASE32[$ms & 31] . $text;
    }
    for ($i = 0; $i < 16; ++$i) {
        $text .= BASE32[random_int(0, 31)];
    }
    return $text;
}

$outbox = new Outbox($argv[1] ?? '/run/outboxd/outboxd.sock');
$customer = $argv[2] ?? '42';
$status = 0;
while (($text = fgets(STDIN)) !== false) {
    $number = (int) $text;
    $event = ['type' => 'track', 'id' => $customer, 'name' => 'step', 'data' => ['n' => $number]];
    $event += ['event_id' => ulid(), 'timestamp' => time()];
    try {
        $job = $outbox->send($event);
        echo "$number $job\n";
    } catch (Refused $refusal) {
        fwrite(STDERR, "$number: {$refusal->getMessage()}\n");
        $status = 1;
    } catch (Unavailable $trouble) {
        fwrite(STDERR, "$number: {$trouble->getMessage()}\n");
        exit(75);
    }
}
exit($status);
