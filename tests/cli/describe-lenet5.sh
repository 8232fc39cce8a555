strata describe lenet5 | sed 's/\(batch 64:\) .*/\1 .../'
