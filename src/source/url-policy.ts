/** Which URLs may be fetched. Addresses are checked in `address.ts`, when the name has been resolved. */
import type { z } from 'zod'

export interface UrlRules {
  /** Host names that may be fetched from, exact or `*.suffix`. Default: any public one. */
  allow?: readonly string[] | undefined
  /** Exact origins (`http://host:port`) where plain http is accepted. */
  http?: readonly string[] | undefined
  /** Exact origins whose addresses may be private or loopback: storage of your own network. */
  private?: readonly string[] | undefined
  /** Ports besides 443; the ports of `http` and `private` origins need no listing. */
  ports?: readonly number[] | undefined
  /** 0 to 3, default 0. Every hop is checked like the first. */
  maxRedirects?: number | undefined
}

/** `off`: nothing is fetched. `public` (the default): https to public addresses, port 443, no redirects. */
export type UrlPolicy = 'off' | 'public' | UrlRules

export declare const urlPolicySchema: z.ZodType<UrlPolicy, UrlPolicy | undefined>
