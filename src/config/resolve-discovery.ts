import { isIP } from 'node:net'
import { isAbsolute, resolve } from 'node:path'
import type { SourceOptions } from '../discovery/create-source.ts'
import type { Member } from '../discovery/member.ts'
import { ConfigError } from '../errors.ts'
import { readCertificates, readKeyPair } from '../net/pem-files.ts'
import type { DiscoveryConfig, NodeConfig } from './config.ts'
import { show } from './scalars.ts'
import type { DiscoveryInput } from './schema-discovery.ts'

/** Where nodes are discovered; null = nowhere. Throws ConfigError; PEM files are read once. */
export function resolveSource(
  input: DiscoveryInput,
  path: string,
  directory: string,
): SourceOptions | null {
  const { patroni, dns } = input
  if (patroni !== undefined && dns !== undefined) {
    throw new ConfigError(path, 'has both patroni and dns; keep one')
  }
  if (patroni !== undefined) {
    return resolvePatroni(patroni, `${path}.patroni`, directory, input.timeout)
  }
  return dns === undefined ? null : resolveDns(dns, `${path}.dns`, input.timeout)
}

function resolvePatroni(
  input: NonNullable<DiscoveryInput['patroni']>,
  path: string,
  directory: string,
  timeoutMs: number,
): SourceOptions {
  for (const [index, url] of input.urls.entries()) assertApi(url, `${path}.urls[${index}]`)
  const protocols = new Set(input.urls.map((url) => new URL(url).protocol))
  if (protocols.size > 1) throw new ConfigError(`${path}.urls`, 'mixes http and https; use one')
  const { scope, user, password, ca, cert, key } = input
  if ((user === undefined) !== (password === undefined)) {
    throw new ConfigError(path, 'user and password belong together; give both')
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new ConfigError(path, 'cert and key belong together; give both')
  }
  const absolute = (file: string): string => (isAbsolute(file) ? file : resolve(directory, file))
  if (ca !== undefined) readCertificates(`${path}.ca`, absolute(ca))
  if (cert !== undefined && key !== undefined) {
    readKeyPair(`${path}.cert`, absolute(cert), `${path}.key`, absolute(key), undefined)
  }
  return {
    kind: 'patroni',
    urls: input.urls,
    timeoutMs,
    ...(scope === undefined ? {} : { scope }),
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(ca === undefined ? {} : { caFile: absolute(ca) }),
    ...(cert === undefined ? {} : { certFile: absolute(cert) }),
    ...(key === undefined ? {} : { keyFile: absolute(key) }),
  }
}

function assertApi(text: string, path: string): void {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.hostname === '') {
    throw new ConfigError(path, 'is no address; write http://10.0.0.1:8008 or https://…')
  }
  if (url.username !== '' || url.password !== '') {
    throw new ConfigError(path, 'has a user name in it; write it as user and password')
  }
  if (!['', '/', '/cluster', '/patroni'].includes(url.pathname) || url.search !== '') {
    throw new ConfigError(path, `has a path (${show(url.pathname)}); give host and port only`)
  }
}

function resolveDns(
  input: NonNullable<DiscoveryInput['dns']>,
  path: string,
  timeoutMs: number,
): SourceOptions {
  const { read, write, port, servers, family, keepFor } = input
  if (read === undefined && write === undefined) {
    throw new ConfigError(path, 'names nothing to look up; give read, write or both')
  }
  for (const [index, server] of servers.entries()) {
    const bare =
      /^\[([^\]]*)\](?::\d{1,5})?$/.exec(server) ?? /^([\d.]+)(?::\d{1,5})?$/.exec(server)
    if (isIP(server) === 0 && isIP(bare?.[1] ?? '') === 0) {
      throw new ConfigError(
        `${path}.servers[${index}]`,
        `${show(server)} is no address; write 10.0.0.2 or [::1]:5353`,
      )
    }
  }
  for (const [key, name] of Object.entries({ read, write })) {
    if (name === undefined || /^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})$/.test(name)) continue
    throw new ConfigError(`${path}.${key}`, `${show(name)} is no DNS name`)
  }
  return {
    kind: 'dns',
    port,
    servers,
    family,
    keepForMs: keepFor,
    timeoutMs,
    ...(read === undefined ? {} : { read }),
    ...(write === undefined ? {} : { write }),
  }
}

/** A discovered member as a node of the cluster. What it is, the node itself will say. */
export function discoveredNode(member: Member, { tls, login }: DiscoveryConfig): NodeConfig {
  const { name, host, port, serverName, zone, isBalanced } = member
  return {
    name,
    role: 'any',
    host,
    port,
    ...(serverName === null ? {} : { serverName }),
    zone: zone ?? undefined,
    weight: isBalanced ? 1 : 0,
    tls,
    login,
  }
}
