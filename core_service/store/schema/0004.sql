-- Tenants. Who claims for one looks at nothing of the others, and who claims for all looks at one tenant
-- after the other, so that neither walks over jobs that are not for it.
DROP INDEX jobs_claimable;
CREATE INDEX jobs_claimable ON jobs (tenant, queue, priority DESC) WHERE claimable = 1;

-- What a tenant with a name sees in lists. The default tenant's rows are in none of these: a desk
-- without tenants pays nothing for them.
CREATE INDEX tickets_by_tenant ON tickets (tenant, status) WHERE tenant <> '';
CREATE INDEX jobs_by_tenant ON jobs (tenant, status) WHERE tenant <> '';
CREATE INDEX questions_by_tenant ON questions (tenant, state, expires_us) WHERE tenant <> '';
