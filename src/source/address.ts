/** Which network addresses may be dialled. */
import type { LookupAddress } from 'node:dns'
import { lookup as systemLookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { BlockedUrlError } from '../errors.ts'

/** All addresses of a name, A and AAAA. A double of it is the only one the tests of downloads need. */
export type Resolve = (hostname: string) => Promise<LookupAddress[]>

export const resolveWithSystem: Resolve = (hostname) => systemLookup(hostname, { all: true })

/** What an operator may open to named origins. Link-local (cloud metadata) stays closed even there. */
const privateRanges: readonly string[] = ['loopback', 'private', 'carrierGradeNat', 'uniqueLocal']

/** All IPv6 that was ever given out. ipaddr.js calls the unassigned rest unicast too, e.g. `::7f00:1`. */
const globalIpv6 = ipaddr.IPv6.parseCIDR('2000::/3')

/** IPv4 wrapped in IPv6 counts as the IPv4 address that it is. */
export function mayDial(text: string, privateAllowed: boolean): boolean {
  if (!ipaddr.isValid(text)) return false
  const address = ipaddr.process(text)
  const range = address.range()
  if (range !== 'unicast') return privateAllowed && privateRanges.includes(range)
  return address instanceof ipaddr.IPv4 || address.match(globalIpv6)
}

/**
 * The addresses of a URL's host, all of them checked: one that may not be dialled condemns the host.
 * Throws BlockedUrlError, which tells neither the address nor its range.
 */
export async function checkedAddresses(
  hostname: string,
  privateAllowed: boolean,
  resolve: Resolve,
): Promise<LookupAddress[]> {
  const literal = hostname.replace(/^\[|\]$/g, '')
  const family = isIP(literal)
  const addresses = family ? [{ address: literal, family }] : await resolve(hostname)
  if (addresses.length === 0 || !addresses.every(({ address }) => mayDial(address, privateAllowed))) {
    throw new BlockedUrlError(`${hostname} is not a public host`)
  }
  return addresses
}

/** Whether two spellings name one address. */
export function sameAddress(a: string, b: string): boolean {
  return (
    ipaddr.isValid(a) && ipaddr.isValid(b) && ipaddr.process(a).toString() === ipaddr.process(b).toString()
  )
}
