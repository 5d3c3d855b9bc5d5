/** Whose certificates are believed. */
import { X509Certificate } from 'node:crypto'
import * as tls from 'node:tls'
import type { UrlPolicy } from './url-policy.ts'

/** Node's authorities and those of the policy; nothing where the policy has none, and Node's own default holds. */
export function trustOf(policy: UrlPolicy): tls.SecureContext | undefined {
  const ca = typeof policy === 'object' ? (policy.ca ?? []) : []
  return ca.length === 0 ? undefined : tls.createSecureContext({ ca: [...defaultAuthorities(), ...ca] })
}

/** Newer versions of Node say what `NODE_EXTRA_CA_CERTS` and `--use-system-ca` add. */
function defaultAuthorities(): readonly string[] {
  const { getCACertificates } = tls as { getCACertificates?: (type: 'default') => string[] }
  return getCACertificates?.('default') ?? tls.rootCertificates
}

/** Whether the text holds certificates in PEM, and nothing else in its place: Node would pass over a broken one. */
export function isCertificates(pem: string): boolean {
  const blocks = pem.match(/-----BEGIN [^-]+-----[^-]*-----END [^-]+-----/g) ?? []
  return blocks.length > 0 && blocks.every(isCertificate)
}

function isCertificate(block: string): boolean {
  try {
    return new X509Certificate(block) !== undefined
  } catch {
    return false
  }
}
