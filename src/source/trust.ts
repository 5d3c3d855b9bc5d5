/** The certificate authorities that downloads trust. */
import { X509Certificate } from 'node:crypto'
import * as tls from 'node:tls'
import type { UrlPolicy } from './url-policy.ts'

/** Node's authorities together with those of the policy; undefined, for Node's default, when the policy has none. */
export function secureContextOf(policy: UrlPolicy): tls.SecureContext | undefined {
  const ca = typeof policy === 'object' ? (policy.ca ?? []) : []
  return ca.length === 0 ? undefined : tls.createSecureContext({ ca: [...defaultAuthorities(), ...ca] })
}

/** Newer versions of Node include what `NODE_EXTRA_CA_CERTS` and `--use-system-ca` add. */
function defaultAuthorities(): readonly string[] {
  const { getCACertificates } = tls as { getCACertificates?: (type: 'default') => string[] }
  return getCACertificates?.('default') ?? tls.rootCertificates
}

/** Whether the text consists of valid PEM certificates. Node would silently ignore a broken one. */
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
