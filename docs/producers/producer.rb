#!/usr/bin/env ruby
# Hands one event to outboxd for each number on standard input: producer.rb [SOCKET [CUSTOMER]]
#
# Prints each number that was accepted with the id of its job. Exit status: 0 all were accepted, 1 some were refused for good,
# 75 outboxd took nothing for OUTBOXD_PATIENCE seconds.
require 'json'
require 'securerandom'
require 'socket'
require 'timeout'

REPLY_TIMEOUT = Float(ENV.fetch('OUTBOXD_REPLY_TIMEOUT', 30))
PATIENCE = Float(ENV.fetch('OUTBOXD_PATIENCE', 600))
TRY_AGAIN = %w[busy spool_full internal].freeze
BASE32 = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'.freeze

class Refused < StandardError; end # outboxd will never take this job
class Unavailable < StandardError; end # outboxd took nothing for too long

# A connection to outboxd, opened when it is needed. Belongs to one thread.
class Outbox
  def initialize(path)
    @path = path
  end

  # Returns the job's id once the job is on stable storage.
  def send_job(job)
    line = "#{JSON.generate(job)}\n"
    deadline = now + PATIENCE
    wait = 0.1
    loop do
      begin
        reply = JSON.parse(ask(line))
        return reply['job'] if reply['ok']

        trouble = reply['error'].values_at('code', 'message').join(': ')
        raise Refused, trouble unless TRY_AGAIN.include?(reply['error']['code'])
      rescue SystemCallError, IOError, Timeout::Error => error
        close # a reply that comes late must not be taken for the next one
        trouble = error.message
      end
      raise Unavailable, trouble if now + wait > deadline

      warn "#{trouble}; trying again"
      sleep wait * rand(0.5..1.0)
      wait = [2 * wait, 5].min
    end
  end

  def close
    @socket&.close
    @socket = nil
  end

  private

  def ask(line)
    Timeout.timeout(REPLY_TIMEOUT) do
      @socket ||= UNIXSocket.new(@path)
      @socket.write(line)
      reply = @socket.gets
      raise EOFError, 'outboxd closed the connection' unless reply&.end_with?("\n")

      reply
    end
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end

# 48 bits of milliseconds and 80 random ones: made once for each event, whatever happens to it.
def ulid
  bits = Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond) << 80 | SecureRandom.random_number(1 << 80)
  125.step(0, -5).map { |shift| BASE32[bits >> shift & 31] }.join
end

$stdout.sync = true
outbox = Outbox.new(ARGV[0] || '/run/outboxd/outboxd.sock')
customer = ARGV[1] || '42'
status = 0
$stdin.each_line do |text|
  number = Integer(text, 10)
  event = { type: 'track', id: customer, name: 'step', data: { n: number }, event_id: ulid, timestamp: Time.now.to_i }
  begin
    puts "#{number} #{outbox.send_job(event)}"
  rescue Refused => error
    warn "#{number}: #{error.message}"
    status = 1
  rescue Unavailable => error
    warn "#{number}: #{error.message}"
    exit 75
  end
end
exit status
