/**
 * The last line of defence before a text leaves the process: whatever a room put into a log line
 * or an error, credentials don't get out.
 */
const rules: readonly (readonly [RegExp, string])[] = [
  // JSON fields by name: "serverPassword":"…"
  [
    /("[^"\\]{0,40}(?:password|passphrase|secret|verifier|private_?key|client_?key|proof|salted)[^"\\]{0,40}":)(?:"(?:[^"\\]|\\.)*"|\d+)/gi,
    '$1"[redacted]"',
  ],
  // Connection URLs, but not the `user:password@` of our own advice.
  [
    /(\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/?#"'@]{0,200}:)(?!password@)[^\s"'/?#]{1,500}@/gi,
    '$1[redacted]@',
  ],
  // conninfo and URL parameters
  [/\b((?:ssl)?password\s?[=:]\s?)(?:\\?'(?:[^'\\]|\\.)*'|[^\s"'&,;)]+)/gi, '$1[redacted]'],
  // pg_authid.rolpassword
  [/SCRAM-SHA-256\$[^\s"',;)]+/g, 'SCRAM-SHA-256$[redacted]'],
  [/\bmd5[0-9a-f]{32}\b/g, 'md5[redacted]'],
  [
    /-----BEGIN ([A-Z ]{0,20}PRIVATE KEY)-----[^-]*(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|$)/g,
    '[redacted $1]',
  ],
]

/** The text without passwords, verifiers, private keys and credentials in connection strings. */
export function redact(text: string): string {
  return rules.reduce((clean, [pattern, replacement]) => clean.replace(pattern, replacement), text)
}
