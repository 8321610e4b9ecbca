declare module 'saslprep' {
  /** Throws where RFC 4013 prohibits. */
  export default function saslprep(input: string, options?: { allowUnassigned?: boolean }): string
}
