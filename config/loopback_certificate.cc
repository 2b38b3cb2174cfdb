#include "config/loopback_certificate.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <array>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "config/folder.h"
#include "config/small_file.h"
#include "core/result.h"
#include "core/time.h"

namespace outboxd {
namespace {

using std::chrono::days;

constexpr std::size_t kPemBytes = 64UL * 1024;
constexpr days kAuthorityLife(3650);
constexpr days kCertificateLife(365);
constexpr days kRenewBefore(30);
constexpr days kBackdated(1);  // for clients whose clock is behind
constexpr std::size_t kSerialBytes = 16;
constexpr unsigned kVersion3 = 3;

struct CertificateEnd {
  void operator()(gnutls_x509_crt_t certificate) const { gnutls_x509_crt_deinit(certificate); }
};
struct KeyEnd {
  void operator()(gnutls_x509_privkey_t key) const { gnutls_x509_privkey_deinit(key); }
};
using Certificate = std::unique_ptr<gnutls_x509_crt_int, CertificateEnd>;
using PrivateKey = std::unique_ptr<gnutls_x509_privkey_int, KeyEnd>;

// The first call that fails decides.
class Calls {
 public:
  Calls& operator()(int code) {
    if (code < 0 && code_ >= 0) code_ = code;
    return *this;
  }
  Result<void> Outcome() const {
    if (code_ >= 0) return {};
    return Fail(ErrorKind::kInternal, std::string("GnuTLS: ") + gnutls_strerror(code_));
  }

 private:
  int code_ = 0;
};

Certificate NewCertificate() {
  gnutls_x509_crt_t certificate = nullptr;
  gnutls_x509_crt_init(&certificate);
  return Certificate(certificate);
}

PrivateKey NewKey() {
  gnutls_x509_privkey_t key = nullptr;
  gnutls_x509_privkey_init(&key);
  return PrivateKey(key);
}

gnutls_datum_t Datum(std::string_view bytes) {
  // GnuTLS only reads through it.
  return {reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data())),
          static_cast<unsigned>(bytes.size())};
}

template <std::size_t N>
gnutls_datum_t Datum(const std::array<unsigned char, N>& bytes) {
  return {const_cast<unsigned char*>(bytes.data()), N};
}

constexpr std::array<unsigned char, 4> kIpv4 = {127, 0, 0, 1};
constexpr std::array<unsigned char, 16> kIpv6 = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
// Address and mask, as RFC 5280 section 4.2.1.10 has them.
constexpr std::array<unsigned char, 8> kIpv4Alone = {127, 0, 0, 1, 255, 255, 255, 255};
constexpr std::array<unsigned char, 32> kIpv6Alone = {0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
                                                      0,   0,   0,   0,   1,   255, 255, 255, 255, 255, 255,
                                                      255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

Result<std::string> ToPem(gnutls_x509_crt_t certificate) {
  gnutls_datum_t pem{};
  RETURN_IF_ERROR(Calls()(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem)).Outcome());
  std::string text(reinterpret_cast<const char*>(pem.data), pem.size);
  gnutls_free(pem.data);
  return text;
}

Result<std::string> ToPem(gnutls_x509_privkey_t key) {
  gnutls_datum_t pem{};
  RETURN_IF_ERROR(
      Calls()(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, nullptr, GNUTLS_PKCS_PLAIN, &pem))
          .Outcome());
  std::string text(reinterpret_cast<const char*>(pem.data), pem.size);
  gnutls_memset(pem.data, 0, pem.size);
  gnutls_free(pem.data);
  return text;
}

Result<PrivateKey> GenerateKey() {
  PrivateKey key = NewKey();
  Calls calls;
  calls(gnutls_x509_privkey_generate(key.get(), GNUTLS_PK_ECDSA,
                                     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
  RETURN_IF_ERROR(calls.Outcome());
  return key;
}

// What every certificate has: a random serial, a life, a name and the key it is for.
void Describe(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key, std::string_view name, Timestamp now,
              days life, Calls& calls) {
  std::array<unsigned char, kSerialBytes> serial{};
  calls(gnutls_rnd(GNUTLS_RND_NONCE, serial.data(), serial.size()));
  serial[0] &= 0x7f;  // a positive number
  const std::time_t begin = ToUnixMs(now - kBackdated) / 1000;
  const std::time_t end = ToUnixMs(now + life) / 1000;
  calls(gnutls_x509_crt_set_version(certificate, kVersion3))(
      gnutls_x509_crt_set_serial(certificate, serial.data(), serial.size()));
  calls(gnutls_x509_crt_set_activation_time(certificate, begin))(
      gnutls_x509_crt_set_expiration_time(certificate, end));
  calls(gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name.data(),
                                      static_cast<unsigned>(name.size())));
  calls(gnutls_x509_crt_set_key(certificate, key));
  std::array<unsigned char, 64> id{};
  std::size_t id_bytes = id.size();
  calls(gnutls_x509_crt_get_key_id(certificate, 0, id.data(), &id_bytes));
  calls(gnutls_x509_crt_set_subject_key_id(certificate, id.data(), id_bytes));
}

void LimitNames(gnutls_x509_crt_t authority, Calls& calls) {
  gnutls_x509_name_constraints_t names = nullptr;
  calls(gnutls_x509_name_constraints_init(&names));
  if (names == nullptr) return;
  const gnutls_datum_t host = Datum("localhost"), ipv4 = Datum(kIpv4Alone), ipv6 = Datum(kIpv6Alone);
  calls(gnutls_x509_name_constraints_add_permitted(names, GNUTLS_SAN_DNSNAME, &host));
  calls(gnutls_x509_name_constraints_add_permitted(names, GNUTLS_SAN_IPADDRESS, &ipv4));
  calls(gnutls_x509_name_constraints_add_permitted(names, GNUTLS_SAN_IPADDRESS, &ipv6));
  calls(gnutls_x509_crt_set_name_constraints(authority, names, 1));
  gnutls_x509_name_constraints_deinit(names);
}

Result<Certificate> MakeAuthority(gnutls_x509_privkey_t key, Timestamp now) {
  Certificate authority = NewCertificate();
  Calls calls;
  Describe(authority.get(), key, "outboxd loopback authority", now, kAuthorityLife, calls);
  calls(gnutls_x509_crt_set_basic_constraints(authority.get(), 1, 0));
  calls(gnutls_x509_crt_set_key_usage(authority.get(), GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN));
  // Also what it signs is for servers alone: nobody becomes a client by it.
  calls(gnutls_x509_crt_set_key_purpose_oid(authority.get(), GNUTLS_KP_TLS_WWW_SERVER, 0));
  LimitNames(authority.get(), calls);
  calls(gnutls_x509_crt_sign2(authority.get(), authority.get(), key, GNUTLS_DIG_SHA256, 0));
  RETURN_IF_ERROR(calls.Outcome());
  return authority;
}

Result<Certificate> MakeLeaf(gnutls_x509_privkey_t key, gnutls_x509_crt_t authority,
                             gnutls_x509_privkey_t authority_key, Timestamp now) {
  constexpr std::string_view kHost = "localhost";
  Certificate leaf = NewCertificate();
  Calls calls;
  Describe(leaf.get(), key, kHost, now, kCertificateLife, calls);
  calls(gnutls_x509_crt_set_basic_constraints(leaf.get(), 0, -1));
  calls(gnutls_x509_crt_set_key_usage(leaf.get(), GNUTLS_KEY_DIGITAL_SIGNATURE));
  calls(gnutls_x509_crt_set_key_purpose_oid(leaf.get(), GNUTLS_KP_TLS_WWW_SERVER, 0));
  calls(gnutls_x509_crt_set_subject_alt_name(leaf.get(), GNUTLS_SAN_DNSNAME, kHost.data(),
                                             static_cast<unsigned>(kHost.size()), GNUTLS_FSAN_SET));
  calls(gnutls_x509_crt_set_subject_alt_name(leaf.get(), GNUTLS_SAN_IPADDRESS, kIpv4.data(), kIpv4.size(),
                                             GNUTLS_FSAN_APPEND));
  calls(gnutls_x509_crt_set_subject_alt_name(leaf.get(), GNUTLS_SAN_IPADDRESS, kIpv6.data(), kIpv6.size(),
                                             GNUTLS_FSAN_APPEND));
  std::array<unsigned char, 64> id{};
  std::size_t id_bytes = id.size();
  calls(gnutls_x509_crt_get_subject_key_id(authority, id.data(), &id_bytes, nullptr));
  calls(gnutls_x509_crt_set_authority_key_id(leaf.get(), id.data(), id_bytes));
  calls(gnutls_x509_crt_sign2(leaf.get(), authority, authority_key, GNUTLS_DIG_SHA256, 0));
  RETURN_IF_ERROR(calls.Outcome());
  return leaf;
}

Result<void> Put(const Folder& folder, const std::filesystem::path& file, const std::string& text,
                 mode_t mode, std::optional<uid_t> owner = std::nullopt) {
  return folder.Replace(file.filename().string(), text, mode, owner);
}

// A certificate and a key that do not belong together, for a crash came between them, are renewed at the next
// start.
Result<void> WriteLeaf(const Folder& folder, gnutls_x509_crt_t authority, gnutls_x509_privkey_t authority_key,
                       Timestamp now, std::optional<uid_t> key_owner) {
  const LoopbackFiles files(folder.path());
  ASSIGN_OR_RETURN(const PrivateKey key, GenerateKey());
  ASSIGN_OR_RETURN(const Certificate leaf, MakeLeaf(key.get(), authority, authority_key, now));
  ASSIGN_OR_RETURN(const std::string certificate_pem, ToPem(leaf.get()));
  ASSIGN_OR_RETURN(const std::string key_pem, ToPem(key.get()));
  RETURN_IF_ERROR(Put(folder, files.key, key_pem, 0600, key_owner));
  return Put(folder, files.certificate, certificate_pem, 0644);
}

Result<Certificate> ParseCertificate(const std::string& pem) {
  Certificate certificate = NewCertificate();
  const gnutls_datum_t datum = Datum(pem);
  Calls calls;
  if (Result<void> read =
          calls(gnutls_x509_crt_import(certificate.get(), &datum, GNUTLS_X509_FMT_PEM)).Outcome();
      !read) {
    return Fail(ErrorKind::kInvalid, "no certificate in PEM: " + read.error().message);
  }
  return certificate;
}

Result<PrivateKey> ParseKey(const std::string& pem) {
  PrivateKey key = NewKey();
  const gnutls_datum_t datum = Datum(pem);
  Calls calls;
  if (Result<void> read =
          calls(gnutls_x509_privkey_import2(key.get(), &datum, GNUTLS_X509_FMT_PEM, nullptr, 0)).Outcome();
      !read) {
    return Fail(ErrorKind::kInvalid, "no private key in PEM: " + read.error().message);
  }
  return key;
}

template <typename T>
Result<T> ReadPem(const std::filesystem::path& file, Result<T> (*parse)(const std::string&)) {
  ASSIGN_OR_RETURN(const std::string pem, ReadSmallFile(file, kPemBytes));
  Result<T> parsed = parse(pem);
  if (!parsed) return Fail(ErrorKind::kInvalid, file.string() + ": " + parsed.error().message);
  return parsed;
}

Result<Certificate> ReadCertificate(const std::filesystem::path& file) {
  return ReadPem(file, &ParseCertificate);
}
Result<PrivateKey> ReadKey(const std::filesystem::path& file) {
  return ReadPem(file, &ParseKey);
}

bool BelongTogether(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key) {
  std::array<unsigned char, 64> of_certificate{}, of_key{};
  std::size_t certificate_bytes = of_certificate.size();
  std::size_t key_bytes = of_key.size();
  return gnutls_x509_crt_get_key_id(certificate, 0, of_certificate.data(), &certificate_bytes) >= 0 &&
         gnutls_x509_privkey_get_key_id(key, 0, of_key.data(), &key_bytes) >= 0 &&
         certificate_bytes == key_bytes && of_certificate == of_key;
}

// For a while longer, and with its key: a crash may have left the key of the next one.
bool IsGood(const LoopbackFiles& files, Timestamp now) {
  const Result<Certificate> certificate = ReadCertificate(files.certificate);
  const Result<PrivateKey> key = ReadKey(files.key);
  if (!certificate || !key || !BelongTogether(certificate->get(), key->get())) return false;
  return gnutls_x509_crt_get_expiration_time(certificate->get()) > ToUnixMs(now + kRenewBefore) / 1000;
}

// Neither somebody's key is overwritten nor made where anybody could put another in its place.
Result<void> CheckPlace(const Folder& folder) {
  const mode_t mode = folder.Status().st_mode;
  if ((mode & S_IWOTH) != 0 && (mode & S_ISVTX) == 0)
    return Fail(ErrorKind::kConflict, folder.path().string() + " may be written by everyone");
  const LoopbackFiles files(folder.path());
  for (const std::filesystem::path* file :
       {&files.authority, &files.authority_key, &files.certificate, &files.key}) {
    if (!folder.Has(file->filename().string())) continue;
    return Fail(
        ErrorKind::kConflict,
        file->string() + " is there already; remove it to begin anew, and tell everyone who trusts it");
  }
  return {};
}

}  // namespace

std::filesystem::path LoopbackDirectory(const std::filesystem::path& outbox) {
  return outbox.parent_path() / "tls";
}

Result<void> MakeLoopbackCertificate(const std::filesystem::path& directory, Timestamp now,
                                     std::optional<uid_t> key_owner) {
  ASSIGN_OR_RETURN(const Folder folder, Folder::Make(directory, 0755));
  RETURN_IF_ERROR(CheckPlace(folder));
  const LoopbackFiles files(folder.path());
  ASSIGN_OR_RETURN(const PrivateKey key, GenerateKey());
  ASSIGN_OR_RETURN(const Certificate authority, MakeAuthority(key.get(), now));
  ASSIGN_OR_RETURN(const std::string key_pem, ToPem(key.get()));
  ASSIGN_OR_RETURN(const std::string authority_pem, ToPem(authority.get()));
  RETURN_IF_ERROR(Put(folder, files.authority_key, key_pem, 0600));
  RETURN_IF_ERROR(WriteLeaf(folder, authority.get(), key.get(), now, key_owner));
  return Put(folder, files.authority, authority_pem, 0644);
}

Result<bool> RenewLoopbackCertificate(const std::filesystem::path& directory, Timestamp now) {
  const LoopbackFiles files(directory);
  if (IsGood(files, now)) return false;
  ASSIGN_OR_RETURN(const Certificate authority, ReadCertificate(files.authority));
  ASSIGN_OR_RETURN(const PrivateKey key, ReadKey(files.authority_key));
  ASSIGN_OR_RETURN(const Folder folder, Folder::Open(directory));
  RETURN_IF_ERROR(WriteLeaf(folder, authority.get(), key.get(), now, std::nullopt));
  return true;
}

Result<void> CheckKeyPair(const std::string& certificate, const std::string& key) {
  ASSIGN_OR_RETURN(const Certificate parsed, ParseCertificate(certificate));
  ASSIGN_OR_RETURN(const PrivateKey parsed_key, ParseKey(key));
  if (BelongTogether(parsed.get(), parsed_key.get())) return {};
  return Fail(ErrorKind::kInvalid, "the key is not the certificate's");
}

}  // namespace outboxd
