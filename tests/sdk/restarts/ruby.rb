# Calls of customerio-ruby until told to stop: ruby.rb BASE_URL SITE_ID API_KEY PARALLEL PAUSE_MS STOP_FILE [CERTIFICATE_AUTHORITY]
require "json"
require "customerio"

base, site_id, api_key, parallel, pause, stop_file, authority = ARGV
ENV["SSL_CERT_FILE"] = authority if authority
$stdout.sync = true
client = Customerio::Client.new(site_id, api_key, url: base)

def call(client, customer, n)
  line = { customer: customer, n: n, type: n.odd? ? "track" : "identify", ok: true }
  if n.odd?
    client.track(customer, "step", { n: n })
  else
    client.identify(id: customer, n: n)
  end
  line
rescue StandardError => e
  line.merge(ok: false, error: "#{e.class}: #{e.message}")
end

puts JSON.generate(library: "customerio-ruby #{Customerio::VERSION}, Ruby #{RUBY_VERSION}")
workers = (0...parallel.to_i).map do |worker|
  Thread.new do
    n = 0
    until File.exist?(stop_file)
      $stdout.write("#{JSON.generate(call(client, "w#{worker}", n += 1))}\n")
      sleep(pause.to_i / 1000.0)
    end
  end
end
workers.each(&:join)
