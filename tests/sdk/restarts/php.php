<?php
// Calls of printu/customerio until told to stop: php.php BASE_URL SITE_ID API_KEY WORKER PAUSE_MS STOP_FILE [CERTIFICATE_AUTHORITY]
//
// A PHP process makes one call at a time: several at once are several processes, each with its number.
declare(strict_types=1);

require 'GuzzleHttp/autoload.php';

use GuzzleHttp\HandlerStack;
use GuzzleHttp\Middleware;

[, $base, $siteId, $apiKey, $worker, $pause, $stopFile] = $argv;
$sources = getenv('PHP_CUSTOMERIO') . '/src/';
spl_autoload_register(function (string $class) use ($sources): void {
    $file = $sources . strtr(substr($class, strlen('Customerio\\')), '\\', '/') . '.php';
    if (str_starts_with($class, 'Customerio\\') && is_file($file)) require $file;
});

// As docs/libraries.md says.
$url = parse_url($base);
$stack = HandlerStack::create();
$stack->push(Middleware::mapRequest(fn ($request) => $request->withUri(
    $request->getUri()->withScheme($url['scheme'])->withHost($url['host'])->withPort($url['port'])
)));
$client = new Customerio\Client($apiKey, $siteId);
$client->setClient(new GuzzleHttp\Client(['handler' => $stack, 'verify' => $argv[7] ?? true]));

function call(Customerio\Client $client, string $customer, int $n): array
{
    $line = ['customer' => $customer, 'n' => $n, 'type' => $n % 2 === 1 ? 'track' : 'identify', 'ok' => true];
    try {
        if ($n % 2 === 1) $client->customers->event(['id' => $customer, 'name' => 'step', 'data' => ['n' => $n]]);
        else $client->customers->add(['id' => $customer, 'n' => $n]);
    } catch (Throwable $error) {
        $line['ok'] = false;
        $line['error'] = $error->getMessage();
    }
    return $line;
}

fwrite(STDOUT, json_encode(['library' => 'printu/customerio ' . getenv('PHP_CUSTOMERIO_VERSION') . ', PHP ' . PHP_VERSION
    . ', Guzzle 7, curl ' . curl_version()['version']]) . "\n");
for ($n = 1; !file_exists($stopFile); ++$n) {
    fwrite(STDOUT, json_encode(call($client, "w$worker", $n)) . "\n");
    usleep((int) $pause * 1000);
    clearstatcache();
}
