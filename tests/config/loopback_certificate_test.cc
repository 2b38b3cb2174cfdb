#include "config/loopback_certificate.h"

#include <curl/curl.h>
#include <doctest/doctest.h>
#include <gnutls/x509.h>
#include <sys/stat.h>

#include <array>
#include <chrono>

#include "config/named_files.h"
#include "core/encoding.h"
#include "daemon/base/metrics.h"
#include "daemon/base/wall_clock.h"
#include "daemon/intake/track_endpoint.h"
#include "daemon/intake/track_listeners.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using std::chrono::days;

mode_t ModeOf(const std::filesystem::path& file) {
  struct stat found{};
  REQUIRE(lstat(file.c_str(), &found) == 0);
  return found.st_mode & 07777;
}

struct Made {
  explicit Made(Timestamp at = WallClockNow()) {
    REQUIRE(MakeLoopbackCertificate(directory, at).has_value());
  }

  TempDir folder;
  std::filesystem::path directory = folder / "tls";
  LoopbackFiles files{directory};
};

bool Renewed(const Made& made, Timestamp now) {
  const Result<bool> renewed = RenewLoopbackCertificate(made.directory, now);
  REQUIRE_MESSAGE(renewed.has_value(), renewed.error().message);
  return *renewed;
}

TEST_CASE("loopback certificate: keys are for their owner alone, and nobody's trust is overwritten") {
  const Made made;
  CHECK(ModeOf(made.directory) == 0755);
  CHECK(ModeOf(made.files.authority) == 0644);
  CHECK(ModeOf(made.files.certificate) == 0644);
  CHECK(ModeOf(made.files.authority_key) == 0600);
  CHECK(ModeOf(made.files.key) == 0600);
  const std::string authority = ReadFile(made.files.authority);
  CHECK(MakeLoopbackCertificate(made.directory, WallClockNow()).error().kind == ErrorKind::kConflict);
  CHECK(ReadFile(made.files.authority) == authority);
}

TEST_CASE("loopback certificate: the authority signs for servers, and no client's certificate") {
  const Made made;
  const std::string pem = ReadFile(made.files.authority);
  gnutls_x509_crt_t authority = nullptr;
  REQUIRE(gnutls_x509_crt_init(&authority) == 0);
  const gnutls_datum_t text{reinterpret_cast<unsigned char*>(const_cast<char*>(pem.data())),
                            static_cast<unsigned>(pem.size())};
  REQUIRE(gnutls_x509_crt_import(authority, &text, GNUTLS_X509_FMT_PEM) == 0);
  CHECK(gnutls_x509_crt_check_key_purpose(authority, GNUTLS_KP_TLS_WWW_SERVER, 0) != 0);
  CHECK(gnutls_x509_crt_check_key_purpose(authority, GNUTLS_KP_TLS_WWW_CLIENT, 0) == 0);
  gnutls_x509_crt_deinit(authority);
}

TEST_CASE("loopback certificate: renewed by the same authority within thirty days of its end, not sooner") {
  const Made made;
  const std::string authority = ReadFile(made.files.authority);
  const std::string certificate = ReadFile(made.files.certificate);
  CHECK_FALSE(Renewed(made, WallClockNow() + days(334)));
  CHECK(ReadFile(made.files.certificate) == certificate);
  CHECK(Renewed(made, WallClockNow() + days(336)));
  CHECK(ReadFile(made.files.certificate) != certificate);
  CHECK(ReadFile(made.files.authority) == authority);
  CHECK(ModeOf(made.files.key) == 0600);
  CHECK_FALSE(Renewed(made, WallClockNow() + days(336)));
}

TEST_CASE("loopback certificate: one that is damaged, gone or without its key is made anew") {
  const Made other;
  const auto damages = std::to_array<std::function<void(const LoopbackFiles&)>>({
      [](const LoopbackFiles& files) { WriteFile(files.certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n"); },
      [](const LoopbackFiles& files) { std::filesystem::remove(files.certificate); },
      [](const LoopbackFiles& files) { std::filesystem::remove(files.key); },
      [&other](const LoopbackFiles& files) { WriteFile(files.key, ReadFile(other.files.key)); },
  });
  for (const auto& damage : damages) {
    const Made made;
    damage(made.files);
    CHECK(Renewed(made, WallClockNow()));
    CHECK_FALSE(Renewed(made, WallClockNow()));
  }
}

TEST_CASE(
    "loopback certificate: without its authority it cannot be renewed, and the file that is missing is "
    "named") {
  const Made made;
  std::filesystem::remove(made.files.authority_key);
  const Result<bool> renewed = RenewLoopbackCertificate(made.directory, WallClockNow() + days(350));
  REQUIRE_FALSE(renewed.has_value());
  CHECK(renewed.error().message.find("ca-key.pem") != std::string::npos);
  CHECK_FALSE(Renewed(made, WallClockNow()));
}

std::string DerOf(const std::string& pem) {
  std::string text = pem.substr(pem.find('\n') + 1);
  text.erase(text.find("-----"));
  std::erase(text, '\n');
  return Base64Decode(text).value_or("");
}

// A TLS listener of the endpoint on a Unix socket, and a client that looks at the certificate it shows.
class TlsListener {
 public:
  explicit TlsListener(const std::filesystem::path& directory, std::filesystem::path certificate = {},
                       std::filesystem::path key = {}) {
    TrackListenerConfig config;
    config.socket.path = socket_;
    config.tls = true;
    config.certificate = std::move(certificate);
    config.key = std::move(key);
    Result<TrackListeners> opened =
        TrackListeners::Open({config}, passed_, {}, directory, endpoint_, states_, WallClockNow());
    REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
    listeners_.emplace(std::move(*opened));
  }

  Result<void> Refresh(Timestamp now) { return listeners_->Refresh(now); }
  Result<void> Reload() { return listeners_->Reload({}, WallClockNow()); }

  // With this version of TLS alone.
  CURLcode Connect(long version) const {
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
    curl_easy_setopt(curl.get(), CURLOPT_URL, "https://localhost/");
    curl_easy_setopt(curl.get(), CURLOPT_UNIX_SOCKET_PATH, socket_.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(curl.get(), CURLOPT_NOBODY, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl.get(), CURLOPT_SSL_CIPHER_LIST,
                     "DEFAULT:@SECLEVEL=0");  // or the client has nothing older
    curl_easy_setopt(curl.get(), CURLOPT_SSLVERSION, version | (version << 16));
    return curl_easy_perform(curl.get());
  }

  // PEM. With `authority`: trusting it alone, as the client of "localhost".
  std::string Shown(const std::filesystem::path& authority = {}) const {
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
    curl_easy_setopt(curl.get(), CURLOPT_URL, "https://localhost/");
    curl_easy_setopt(curl.get(), CURLOPT_UNIX_SOCKET_PATH, socket_.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(curl.get(), CURLOPT_NOBODY, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_SSL_VERIFYPEER, authority.empty() ? 0L : 1L);
    if (!authority.empty()) curl_easy_setopt(curl.get(), CURLOPT_CAINFO, authority.c_str());
    const CURLcode code = curl_easy_perform(curl.get());
    REQUIRE_MESSAGE(code == CURLE_OK, curl_easy_strerror(code));
    curl_certinfo* chain = nullptr;
    curl_easy_getinfo(curl.get(), CURLINFO_CERTINFO, &chain);
    constexpr std::string_view kPem = "Cert:";
    for (const curl_slist* entry = chain != nullptr && chain->num_of_certs > 0 ? chain->certinfo[0] : nullptr;
         entry != nullptr; entry = entry->next) {
      const std::string_view line = entry->data;
      if (line.starts_with(kPem)) return std::string(line.substr(kPem.size()));
    }
    return {};
  }

 private:
  TempDir folder_;
  std::filesystem::path socket_ = folder_ / "t.sock";
  Metrics metrics_;
  PassedSockets passed_;
  ListenerStates states_;
  Environments environments_;
  TrackEndpoint endpoint_{{}, environments_, 1024, metrics_, [](std::unique_ptr<Submission>) {}};
  std::optional<TrackListeners> listeners_;
};

TEST_CASE(
    "track listeners: a certificate near its end is made anew before it is shown, and clients of the "
    "authority trust it") {
  const Made made(WallClockNow() - days(340));
  const std::string old = ReadFile(made.files.certificate);
  const TlsListener listener(made.directory);
  const std::string shown = listener.Shown(made.files.authority);
  CHECK(shown != old);
  CHECK(shown == ReadFile(made.files.certificate));
}

TEST_CASE("track listeners: TLS 1.2 and 1.3 are spoken, and nothing older") {
  const Made made;
  const TlsListener listener(made.directory);
  for (const long version : {CURL_SSLVERSION_TLSv1_2, CURL_SSLVERSION_TLSv1_3})
    CHECK(listener.Connect(version) == CURLE_OK);
  for (const long version : {CURL_SSLVERSION_TLSv1_0, CURL_SSLVERSION_TLSv1_1})
    CHECK(listener.Connect(version) == CURLE_SSL_CONNECT_ERROR);
}

TEST_CASE("loopback certificate: the authority signs for servers alone") {
  const Made made;
  const std::string der = DerOf(ReadFile(made.files.authority));
  CHECK(der.find("\x55\x1d\x25") != std::string::npos);                      // extended key usage
  CHECK(der.find("\x2b\x06\x01\x05\x05\x07\x03\x01") != std::string::npos);  // of servers
  CHECK(der.find("\x2b\x06\x01\x05\x05\x07\x03\x02") == std::string::npos);  // of clients
}

// The same authority as 0.1.0 made it: its certificate names no purpose.
void ForgetPurpose(const LoopbackFiles& files) {
  const std::string pem = ReadFile(files.authority), key_pem = ReadFile(files.authority_key);
  const auto datum = [](const std::string& text) {
    return gnutls_datum_t{reinterpret_cast<unsigned char*>(const_cast<char*>(text.data())),
                          static_cast<unsigned>(text.size())};
  };
  const gnutls_datum_t old_text = datum(pem), key_text = datum(key_pem);
  gnutls_x509_crt_t old = nullptr, made = nullptr;
  gnutls_x509_privkey_t key = nullptr;
  gnutls_x509_dn_t name = nullptr;
  REQUIRE(gnutls_x509_crt_init(&old) == 0);
  REQUIRE(gnutls_x509_crt_init(&made) == 0);
  REQUIRE(gnutls_x509_privkey_init(&key) == 0);
  REQUIRE(gnutls_x509_crt_import(old, &old_text, GNUTLS_X509_FMT_PEM) == 0);
  REQUIRE(gnutls_x509_privkey_import2(key, &key_text, GNUTLS_X509_FMT_PEM, nullptr, 0) == 0);
  std::array<unsigned char, 64> id{};
  std::size_t id_bytes = id.size();
  REQUIRE(gnutls_x509_crt_get_subject_key_id(old, id.data(), &id_bytes, nullptr) == 0);
  REQUIRE(gnutls_x509_crt_get_subject(old, &name) == 0);
  gnutls_datum_t name_text{};
  REQUIRE(gnutls_x509_dn_get_str(name, &name_text) == 0);
  REQUIRE(gnutls_x509_crt_set_version(made, 3) == 0);
  REQUIRE(gnutls_x509_crt_set_serial(made, "\x01", 1) == 0);
  REQUIRE(gnutls_x509_crt_set_dn(made, reinterpret_cast<const char*>(name_text.data), nullptr) == 0);
  REQUIRE(gnutls_x509_crt_set_activation_time(made, gnutls_x509_crt_get_activation_time(old)) == 0);
  REQUIRE(gnutls_x509_crt_set_expiration_time(made, gnutls_x509_crt_get_expiration_time(old)) == 0);
  REQUIRE(gnutls_x509_crt_set_basic_constraints(made, 1, 0) == 0);
  REQUIRE(gnutls_x509_crt_set_key_usage(made, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN) == 0);
  REQUIRE(gnutls_x509_crt_set_subject_key_id(made, id.data(), id_bytes) == 0);
  REQUIRE(gnutls_x509_crt_set_key(made, key) == 0);
  REQUIRE(gnutls_x509_crt_sign2(made, made, key, GNUTLS_DIG_SHA256, 0) == 0);
  gnutls_datum_t text{};
  REQUIRE(gnutls_x509_crt_export2(made, GNUTLS_X509_FMT_PEM, &text) == 0);
  WriteFile(files.authority, std::string(reinterpret_cast<const char*>(text.data), text.size));
  gnutls_free(text.data);
  gnutls_free(name_text.data);
  gnutls_x509_privkey_deinit(key);
  gnutls_x509_crt_deinit(made);
  gnutls_x509_crt_deinit(old);
}

TEST_CASE("track listeners: an authority without a purpose, as earlier versions made it, goes on") {
  const Made made(WallClockNow() - days(340));
  ForgetPurpose(made.files);
  CHECK(DerOf(ReadFile(made.files.authority)).find("\x55\x1d\x25") == std::string::npos);
  const std::string old = ReadFile(made.files.certificate), authority = ReadFile(made.files.authority);
  const TlsListener listener(made.directory);
  CHECK(listener.Shown(made.files.authority) != old);
  CHECK(ReadFile(made.files.authority) == authority);
}

TEST_CASE("track listeners: the running server shows the renewed certificate from then on") {
  const Made made;
  TlsListener listener(made.directory);
  const std::string before = listener.Shown(made.files.authority);
  CHECK(before == ReadFile(made.files.certificate));
  CHECK(listener.Refresh(WallClockNow() + days(10)).has_value());
  CHECK(listener.Shown() == before);
  CHECK(listener.Refresh(WallClockNow() + days(340)).has_value());
  CHECK(ReadFile(made.files.certificate) != before);
  CHECK(listener.Shown() == ReadFile(made.files.certificate));
}

TEST_CASE(
    "track listeners: a certificate of one's own is read again when told so, and stays when the new one is "
    "none") {
  const Made first, second;
  TempDir own;
  const std::filesystem::path certificate = own / "certificate.pem", key = own / "key.pem";
  const auto put = [&](const Made& made) {
    WriteFile(certificate, ReadFile(made.files.certificate));
    WriteFile(key, ReadFile(made.files.key));
  };
  put(first);
  TlsListener listener(own / "none", certificate, key);
  CHECK(listener.Shown() == ReadFile(first.files.certificate));
  put(second);
  CHECK(listener.Refresh(WallClockNow()).has_value());
  CHECK(listener.Shown() == ReadFile(first.files.certificate));
  CHECK(listener.Reload().has_value());
  CHECK(listener.Shown() == ReadFile(second.files.certificate));
  WriteFile(key, ReadFile(first.files.key));
  for (int i = 0; i < 2; ++i) CHECK_FALSE(listener.Reload().has_value());
  CHECK(listener.Shown() == ReadFile(second.files.certificate));
  put(first);
  CHECK(listener.Reload().has_value());
  CHECK(listener.Shown() == ReadFile(first.files.certificate));
}

TEST_CASE("config files: a listener's certificate and key are checked, and what is wrong with them is told") {
  const Made made, other;
  const auto wrong = [&](const std::filesystem::path& certificate, const std::filesystem::path& key) {
    TrackListenerConfig listener;
    listener.tls = true;
    listener.certificate = certificate;
    listener.key = key;
    Config config;
    config.outbox.path = made.folder / "none" / "outbox.db";
    config.track = {listener};
    const std::vector<FileProblem> problems = CheckFiles(config);
    return problems.empty() ? std::string() : problems.front().error.message;
  };
  CHECK(wrong(made.files.certificate, made.files.key).empty());
  CHECK(wrong(made.files.certificate, other.files.key).find("the key is not the certificate's") !=
        std::string::npos);
  CHECK(wrong(made.files.key, made.files.key).find("no certificate in PEM") != std::string::npos);
  CHECK(wrong(made.files.certificate, made.files.certificate).find("no private key in PEM") !=
        std::string::npos);
  CHECK(wrong(made.folder / "gone.pem", made.files.key).find("gone.pem") != std::string::npos);
  CHECK(wrong({}, {}).find("run outboxctl tls-init") != std::string::npos);
}

}  // namespace
}  // namespace outboxd
