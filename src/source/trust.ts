/** The certificate authorities that downloads trust. */
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
