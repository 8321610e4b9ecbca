/** The version in package.json, which bundles don't have beside them; a test holds the two together. */
const version = '0.1.0'

export function packageVersion(): string {
  return version
}
