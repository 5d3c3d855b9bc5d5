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

/**
 * Inside every virtual machine of Azure, the host's own services: as private as any, though no range says so. What other
 * clouds use is link-local or private already.
 */
const hostServices: readonly string[] = ['168.63.129.16']

/** IPv4 wrapped in IPv6 counts as the IPv4 address that it is. */
export function mayDial(text: string, privateAllowed: boolean): boolean {
  if (!ipaddr.isValid(text)) return false
  const address = ipaddr.process(text)
  const range = hostServices.includes(address.toString()) ? 'private' : address.range()
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
  const addresses = family
    ? [{ address: literal, family }]
    : await resolveName(hostname, privateAllowed, resolve)
  if (addresses.length === 0 || !addresses.every(({ address }) => mayDial(address, privateAllowed))) {
    throw notPublic(hostname)
  }
  return addresses
}

/** A public name that does not exist is answered as one that exists inside, or a client could find out which do. */
async function resolveName(
  hostname: string,
  privateAllowed: boolean,
  resolve: Resolve,
): Promise<LookupAddress[]> {
  try {
    return await resolve(hostname)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const unknown = code === 'ENOTFOUND' || code === 'ENODATA'
    throw unknown && !privateAllowed ? notPublic(hostname) : error
  }
}

function notPublic(hostname: string): BlockedUrlError {
  return new BlockedUrlError(`${hostname} is not a public host`)
}

/** Whether two spellings name one address. */
export function sameAddress(a: string, b: string): boolean {
  return (
    ipaddr.isValid(a) && ipaddr.isValid(b) && ipaddr.process(a).toString() === ipaddr.process(b).toString()
  )
}
