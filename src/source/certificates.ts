/** Checks certificates in PEM. */
import { X509Certificate } from 'node:crypto'

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
