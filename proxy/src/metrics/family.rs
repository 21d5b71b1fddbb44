//! Makes Prometheus' families out of plain numbers. Only text encoding follows, and that is the
//! library's.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::Description;

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

/// Values with the label values that belong to them, in the order of `description.labels`.
pub(super) fn family(
    description: &Description,
    kind: Kind,
    values: impl IntoIterator<Item = (Vec<String>, f64)>,
) -> MetricFamily {
    let metrics = values
        .into_iter()
        .map(|(labels, value)| {
            let mut metric = Metric::from_label(label_pairs(description, labels));
            match kind {
                Kind::Counter => {
                    let mut counter = Counter::default();
                    counter.set_value(value);
                    metric.set_counter(counter);
                }
                Kind::Gauge => {
                    let mut gauge = Gauge::default();
                    gauge.set_value(value);
                    metric.set_gauge(gauge);
                }
            }
            metric
        })
        .collect();
    let kind = match kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
    };
    described(description, kind, metrics)
}

/// A histogram from the upper bounds of its buckets and the count of each, that of the one without
/// an upper bound last.
pub(super) fn histogram(
    description: &Description,
    bounds: impl IntoIterator<Item = f64>,
    counts: &[u64],
    sum: f64,
) -> MetricFamily {
    let mut cumulative = 0;
    let buckets = bounds
        .into_iter()
        .zip(counts)
        .map(|(bound, count)| {
            cumulative += count;
            let mut text = Bucket::default();
            text.set_cumulative_count(cumulative);
            text.set_upper_bound(bound);
            text
        })
        .collect();
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(sum);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    described(description, MetricType::HISTOGRAM, vec![metric])
}

fn described(description: &Description, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(description.name.to_owned());
    family.set_help(description.help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn label_pairs(description: &Description, values: Vec<String>) -> Vec<LabelPair> {
    debug_assert_eq!(description.labels.len(), values.len(), "{description:?}");
    description
        .labels
        .iter()
        .zip(values)
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value);
            pair
        })
        .collect()
}
