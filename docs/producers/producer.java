// Hands one event to outboxd for each number on standard input: java producer.java [SOCKET [CUSTOMER]]
//
// Prints each number that was accepted with the id of its job. Exit status: 0 all were accepted, 1 some were refused for
// good, 75 outboxd took nothing for OUTBOXD_PATIENCE seconds. Needs Java 16.
import java.io.BufferedReader;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.SocketTimeoutException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

class Producer {
    static final Duration REPLY_TIMEOUT = seconds("OUTBOXD_REPLY_TIMEOUT", 30);
    static final Duration PATIENCE = seconds("OUTBOXD_PATIENCE", 600);
    static final String BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    static class Refused extends Exception { // outboxd will never take this job
        Refused(String message) { super(message); }
    }

    static class Unavailable extends Exception { // outboxd took nothing for too long
        Unavailable(String message) { super(message); }
    }

    // A connection to outboxd, opened when it is needed. Belongs to one thread.
    static class Outbox {
        static final Set<String> TRY_AGAIN = Set.of("busy", "spool_full", "internal");
        // Java has no JSON parser of its own. In a reply these members come first, in this order, without white space.
        static final Pattern ACCEPTED = Pattern.compile("^\\{\"ok\":true,\"job\":\"(\\w+)\"");
        static final Pattern REFUSED = Pattern.compile("^\\{\"ok\":false,\"error\":\\{\"code\":\"(\\w+)\"");

        private final UnixDomainSocketAddress address;
        private SocketChannel channel;
        private Selector selector;

        Outbox(String path) {
            address = UnixDomainSocketAddress.of(path);
        }

        // Returns the job's id once the job, one JSON object, is on stable storage.
        String send(String job) throws Refused, Unavailable, IOException, InterruptedException {
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            for (long waitMs = 100;; waitMs = Math.min(2 * waitMs, 5000)) {
                String trouble;
                try {
                    String reply = ask(job + "\n");
                    Matcher accepted = ACCEPTED.matcher(reply);
                    if (accepted.find()) return accepted.group(1);
                    trouble = reply.strip();
                    Matcher refused = REFUSED.matcher(reply);
                    if (!refused.find() || !TRY_AGAIN.contains(refused.group(1))) throw new Refused(trouble);
                } catch (IOException error) {
                    close(); // a reply that comes late must not be taken for the next one
                    trouble = error.toString();
                }
                if (System.nanoTime() + waitMs * 1_000_000 > deadline) throw new Unavailable(trouble);
                System.err.println(trouble + "; trying again");
                Thread.sleep(ThreadLocalRandom.current().nextLong(waitMs / 2, waitMs + 1));
            }
        }

        void close() throws IOException {
            if (channel != null) channel.close();
            if (selector != null) selector.close();
            channel = null;
            selector = null;
        }

        private String ask(String line) throws IOException {
            long deadline = System.nanoTime() + REPLY_TIMEOUT.toNanos();
            if (channel == null) {
                channel = SocketChannel.open(address);
                channel.configureBlocking(false);
                selector = Selector.open();
                channel.register(selector, 0);
            }
            ByteBuffer out = StandardCharsets.UTF_8.encode(line);
            while (out.hasRemaining()) { // write may take a part
                if (channel.write(out) == 0) await(SelectionKey.OP_WRITE, deadline);
            }
            StringBuilder reply = new StringBuilder();
            ByteBuffer in = ByteBuffer.allocate(4096);
            while (reply.length() == 0 || reply.charAt(reply.length() - 1) != '\n') {
                int count = channel.read(in.clear());
                if (count < 0) throw new EOFException("outboxd closed the connection");
                if (count == 0) await(SelectionKey.OP_READ, deadline);
                reply.append(StandardCharsets.ISO_8859_1.decode(in.flip()));
            }
            return new String(reply.toString().getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
        }

        private void await(int operation, long deadline) throws IOException {
            channel.keyFor(selector).interestOps(operation);
            long leftMs = (deadline - System.nanoTime()) / 1_000_000;
            if (leftMs <= 0 || selector.select(leftMs) == 0) throw new SocketTimeoutException("no reply in time");
            selector.selectedKeys().clear();
        }
    }

    // 48 bits of milliseconds and 80 random ones: made once for each event, whatever happens to it.
    static String ulid() {
        StringBuilder text = new StringBuilder();
        long ms = System.currentTimeMillis();
        for (int shift = 45; shift >= 0; shift -= 5) text.append(BASE32.charAt((int) (ms >> shift & 31)));
        new SecureRandom().ints(16, 0, 32).forEach(digit -> text.append(BASE32.charAt(digit)));
        return text.toString();
    }

    static String quoted(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') json.append('\\').append(c);
            else if (c < ' ') json.append(String.format("\\u%04x", (int) c));
            else json.append(c);
        }
        return json.append('"').toString();
    }

    static Duration seconds(String variable, double otherwise) {
        String given = System.getenv(variable);
        return Duration.ofMillis((long) (1000 * (given == null ? otherwise : Double.parseDouble(given))));
    }

    public static void main(String[] arguments) throws Exception {
        Outbox outbox = new Outbox(arguments.length > 0 ? arguments[0] : "/run/outboxd/outboxd.sock");
        String customer = arguments.length > 1 ? arguments[1] : "42";
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        int status = 0;
        for (String text = input.readLine(); text != null; text = input.readLine()) {
            long number = Long.parseLong(text);
            String event = String.format(
                    "{\"type\":\"track\",\"id\":%s,\"name\":\"step\",\"data\":{\"n\":%d},\"event_id\":\"%s\",\"timestamp\":%d}",
                    quoted(customer), number, ulid(), System.currentTimeMillis() / 1000);
            try {
                System.out.println(number + " " + outbox.send(event));
            } catch (Refused refusal) {
                System.err.println(number + ": " + refusal.getMessage());
                status = 1;
            } catch (Unavailable trouble) {
                System.err.println(number + ": " + trouble.getMessage());
                System.exit(75);
            }
        }
        System.exit(status);
    }
}
