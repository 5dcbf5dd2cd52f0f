package com.example.billing;

import java.math.BigDecimal;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/** Keeps the balance of every account in memory. */
public final class Ledger {
    private final Map<String, BigDecimal> balances = new ConcurrentHashMap<>();
    private final AuditLog auditLog;

    public Ledger(AuditLog auditLog) {
        this.auditLog = Objects.requireNonNull(auditLog, "auditLog");
    }

    public void transfer(String from, String to, BigDecimal amount) {
        if (amount.signum() <= 0) {
            throw new IllegalArgumentException("amount must be positive: " + amount);
        }
        balances.merge(from, amount.negate(), BigDecimal::add);
        balances.merge(to, amount, BigDecimal::add);
        auditLog.append(new Entry(Instant.now(), from, to, amount));
    }

    public List<String> overdrawn() {
        return balances.entrySet().stream()
            .filter(entry -> entry.getValue().signum() < 0)
            .sorted(Map.Entry.comparingByValue())
            .map(Map.Entry::getKey)
            .collect(Collectors.toUnmodifiableList());
    }

    public record Entry(Instant at, String from, String to, BigDecimal amount) {}
}
