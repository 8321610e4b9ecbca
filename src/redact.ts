/**
 * The last line of defence before a text leaves the process: whatever a room put into a log line
 * or an error, credentials don't get out.
 */
const rules: readonly (readonly [RegExp, string])[] = [
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

const secretName =
  /password|passphrase|secret|verifier|private_?key|client_?key|server_?key|proof|salted/i

/** A logged value: fields by their names, texts by what they contain; to any depth. */
export function redactValue(value: unknown): unknown {
  if (typeof value === 'string') return redact(value)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(redactValue)
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      secretName.test(name) && inner !== null ? '[redacted]' : redactValue(inner),
    ]),
  )
}
